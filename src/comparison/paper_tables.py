"""Papers' figures beside ours: task by task, and as MMSA's Table 1 has them, plain means over tasks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from comparison.intervals import summary
from comparison.pooling import Group, Line
from comparison.published import Published, published_averages, published_beside
from comparison.scores import scores
from comparison.tables import Table, figure_text, notes_on, with_bounds

NOTE = (
    "The papers' runs are not ours: other code, and settings that they do not all give (appendices of two are not "
    "available to us). A difference between rows marked paper and ours has more causes than the algorithm"
)


def paper_table(groups: Sequence[Group]) -> Table | None:
    """Return the papers' figures of single tasks beside ours, None where no task is one of theirs."""
    rows = []
    for group in groups:
        theirs = published_beside(group)
        for line in group.lines if theirs else ():
            ours = summary(scores(line, group.metric)["final"], group.statistic)
            rows.append((group.title, "ours", line.label, ours.centre, ours.low, ours.high, np.nan, _steps([line]),
                         len(line.members), "this report"))  # fmt: skip
        rows += [
            (group.title, "paper", one.algorithm, one.value, np.nan, np.nan,
             np.nan if one.deviation is None else one.deviation, one.steps, one.seeds, one.source_beside(group))
            for one in theirs
        ]  # fmt: skip
    if not rows:
        return None
    data = pd.DataFrame(
        rows, columns=["task", "whose", "algorithm", "final", "low", "high", "deviation", "steps", "seeds", "source"]
    )
    shown = data.assign(
        final=[with_bounds(row) for row in data[["final", "low", "high"]].to_numpy()],
        deviation=["" if np.isnan(x) else figure_text(x) for x in data["deviation"]],
        steps=[f"{steps:,}" for steps in data["steps"]],
    ).drop(columns=["low", "high"])
    return Table("paper", "Papers' figures beside ours", shown, data, (NOTE, *notes_on(groups)))


def average_table(groups: Sequence[Group]) -> Table | None:
    """Return Table 1 of the paper with ours beside it, None where no task is one of those that it speaks of."""
    benchmarks: dict[tuple[str, str], list[tuple[Published, list[Group]]]] = {}
    for one, ours in published_averages(groups):
        benchmarks.setdefault((one.env, one.metric), []).append((one, ours))
    rows = []
    for (env, metric), found in benchmarks.items():
        of, ours = found[0][0].average_of, found[0][1]
        rows += [
            (env, metric, "ours", label, _plain_mean(lines, metric), len(lines), of, _steps(_every(lines)),
             min(len(line.members) for line in _every(lines)), "this report")
            for label, lines in _by_label(ours).items()
        ]  # fmt: skip
        rows += [
            (env, metric, "paper", one.algorithm, one.value, of, of, one.steps, one.seeds, one.source)
            for one, _ in found
        ]
    if not rows:
        return None
    columns = ["environment", "figure", "whose", "algorithm", "mean", "tasks", "of", "steps", "seeds", "source"]
    data = pd.DataFrame(rows, columns=columns)
    shown = data.assign(
        mean=[figure_text(mean) for mean in data["mean"]], steps=[f"{steps:,}" for steps in data["steps"]]
    )
    notes = (
        "As in Table 1 of the paper: the mean over seeds of the last evaluation, and the plain mean of that over "
        "tasks, whatever statistic a protocol shows",
        "A mean over fewer tasks than the paper's speaks of those alone",
        NOTE,
        *notes_on(groups),
    )
    return Table("paper-averages", "The paper's means over tasks beside ours", shown, data, notes)


def _every(lines: Mapping[str, Sequence[Line]]) -> list[Line]:
    """Return the lines of all tasks."""
    return [line for mine in lines.values() for line in mine]


def _by_label(groups: Sequence[Group]) -> dict[str, dict[str, list[Line]]]:
    """Return every label's lines by task: one each, but for a task whose runs could not all be pooled."""
    found: dict[str, dict[str, list[Line]]] = {}
    for group in groups:
        for line in group.lines:
            found.setdefault(line.label, {}).setdefault(group.task, []).append(line)
    return dict(sorted(found.items()))


def _plain_mean(lines: Mapping[str, Sequence[Line]], metric: str) -> float:
    return float(np.mean([np.mean([scores(line, metric)["final"].mean() for line in mine]) for mine in lines.values()]))


def _steps(lines: Sequence[Line]) -> int:
    return int(max(member.evaluations.steps[-1] for line in lines for member in line.members))
