"""The short answer at the top of the page: computed, in plain words."""

from collections.abc import Iterable, Sequence

from comparison.equal_tables import at_equal
from comparison.group_charts import HEADINGS
from comparison.intervals import summary
from comparison.pooling import Group, Pool
from comparison.scores import scores
from comparison.tables import with_bounds
from comparison.verdicts import ENOUGH_SEEDS, FEW, Verdict, basis, verdicts

TOLD_LINES = 6  # with more, the short answer would not be short


def answer(pool: Pool, found: int) -> list[str]:
    """Return sentences: how many runs are in the figures, and what each group says."""
    used = sum(len(line.members) for group in pool.groups for line in group.lines)
    first = f"{used} of the {found} runs found are in the figures; the list below says why the others are not."
    if used == found:
        first = f"All {found} runs found are in the figures."
    return [first, *(sentence for group in pool.groups for sentence in _of(group))]


def _of(group: Group) -> Iterable[str]:
    name = basis(group)
    if len(group.lines) > TOLD_LINES:
        yield f"{group.title}: {len(group.lines)} lines; the table of scores has their values."
    else:
        yield f"{group.title}, {HEADINGS[name]}, mean and 95% interval: {_values(group, name)}."
    found = verdicts(group)
    if group.forced:
        yield f"{group.title}: pooled by --force although runs differ in {'; '.join(group.forced)}. No verdict."
    elif found:
        yield f"{group.title}: {_judged(found)}"
        if len(group.lines) <= TOLD_LINES and not all(verdict.says.startswith("no verdict") for verdict in found):
            yield from at_equal(group)


def _values(group: Group, name: str) -> str:
    return ", ".join(
        f"{line.label} {with_bounds(summary(scores(line, group.metric)[name], 'mean_interval'))}"
        f" ({len(line.members)} seed{'s' if len(line.members) > 1 else ''}"
        f"{f', {len(line.diverged)} diverged' if line.diverged else ''})"
        for line in group.lines
    )


def _judged(found: Sequence[Verdict]) -> str:
    clear = [f"{v.first} is better than {v.second}" for v in found if v.says.startswith("better")]
    none = [v for v in found if v.says.startswith("no verdict")]
    if len(none) == len(found):
        few = all(v.says.endswith(FEW) for v in none)
        why = f", for fewer than {ENOUGH_SEEDS} seeds carry none" if few else "; the table of comparisons says why"
        return f"no verdict{why}."
    pairs = f"{len(found)} pair{'s were' if len(found) > 1 else ' was'} compared"
    unjudged = f", {len(none)} of them without a verdict" if none else ""
    return f"{'; '.join(clear) or 'no clear difference'} ({pairs}{unjudged})."
