"""The tables of `equal`: what lines have at equal steps, updates and minutes, and what may be said of every two."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from comparison.equal import MEAN, Equal, equals, pairs
from comparison.evaluations import AXES
from comparison.intervals import summary
from comparison.pooling import Group
from comparison.tables import BY_WELCH, DIFFERENCE, Table, notes_on, with_bounds

NOTES = (
    "Every axis ends where the first run of these lines does, and all are compared there: by their value, and by their "
    "mean from the first evaluation on; mean and 95% interval over seeds",
    "Minutes are of one machine alone, with whatever else it did; a machine with one line's runs compares nothing",
)


def equal_tables(groups: Sequence[Group]) -> list[Table]:
    """Return a table of scores and one of verdicts, none where no two lines can be compared."""
    shown, data, said, told = [], [], [], []
    for group in groups:
        for equal in equals(group):
            where = _where(group, equal)
            for label, scores in equal.scores.items():
                found = {name: summary(values, "mean_interval") for name, values in scores.items()}
                shown.append({**where, "algorithm": label, "seeds": len(scores[MEAN])}
                             | {name: with_bounds(one) for name, one in found.items()})  # fmt: skip
                data += [{**where, "up to": equal.end, "algorithm": label, "score": name, **one._asdict()}
                         for name, one in found.items()]  # fmt: skip
            for pair in pairs(group, equal):
                words = {**where, "first": pair.first, "second": pair.second, **pair.says}
                said.append(words | {f"{name}, difference": with_bounds(more) for name, more in pair.more.items()})
                told.append(words | {f"{name}, {column}": getattr(more, place) for name, more in pair.more.items()
                                     for column, place in DIFFERENCE.items()})  # fmt: skip
    if not shown:
        return []
    return [
        Table("equal", "At equal steps, updates and minutes", pd.DataFrame(shown), pd.DataFrame(data),
              (*NOTES, *notes_on(groups))),
        Table("equal-comparisons", "Comparisons at equal steps, updates and minutes", pd.DataFrame(said),
              pd.DataFrame(told), (BY_WELCH, *notes_on(groups))),
    ]  # fmt: skip


def _where(group: Group, equal: Equal) -> dict[str, Any]:
    axis = AXES[equal.axis].partition(" (")[0]
    against = f"{axis} on {equal.machine}" if equal.machine else axis
    end = f"{equal.end:,.1f}" if equal.axis == "minutes" else f"{equal.end:,.0f}"
    return {"task": group.title, "against": against, "up to": end}


def at_equal(group: Group) -> list[str]:
    """Return a sentence for each axis: who is better there by the mean, for the short answer."""
    sentences = []
    for equal in equals(group):
        where, found = _where(group, equal), list(pairs(group, equal))
        clear = [
            f"{pair.first} is better than {pair.second}" if pair.says[MEAN].startswith(pair.first + " is better")
            else f"{pair.second} is better than {pair.first}"
            for pair in found if " is better" in pair.says[MEAN]
        ]  # fmt: skip
        none = all(pair.says[MEAN].startswith("no verdict") for pair in found)
        said = "; ".join(clear) or ("no verdict" if none else "no clear difference")
        sentences.append(f"{group.title}, mean up to {where['up to']} of {where['against']}: {said}.")
    return sentences
