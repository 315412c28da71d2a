"""The report's tables: as HTML on its page, as CSV with plain numbers, as LaTeX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from comparison.aggregates import Aggregates
from comparison.archives import ArchivedRun
from comparison.group_charts import HEADINGS, notes_of
from comparison.intervals import SAYS, Summary, summary
from comparison.pooling import Group, Line, Member, Pool
from comparison.ranges import Range
from comparison.scores import scores
from comparison.verdicts import basis, verdicts

DASH = "–"
BY_WELCH = "Differences of means with Welch's 95% interval, for one pair: of twenty pairs without any, one leaves out 0"
DIFFERENCE = {"difference": "centre", "difference low": "low", "difference high": "high"}  # columns of a CSV
LATEX = str.maketrans({  # what pandas does for cells and not for captions
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table in words (`shown`, for page and LaTeX) and the same in numbers (`data`, for CSV).

    `name`: of its files. `notes`: what has to be read with it.
    """

    name: str
    heading: str
    shown: pd.DataFrame
    data: pd.DataFrame
    notes: tuple[str, ...] = ()

    def write(self, folder: Path) -> list[str]:
        """Write the table as CSV and LaTeX and return the names of the files."""
        names = [f"{self.name}.csv", f"{self.name}.tex"]
        self.data.to_csv(folder / names[0], index=False)
        caption = ". ".join([self.heading, *self.notes]).translate(LATEX)
        text = self.shown.to_latex(index=False, escape=True, caption=caption, label=f"tab:{self.name}")
        (folder / names[1]).write_text(text, encoding="utf-8")
        return names


def figure_text(value: float) -> str:
    """Return a value in the digits of a table, a dash where there is none."""
    if not np.isfinite(value):
        return DASH
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def with_bounds(found: Sequence[float]) -> str:
    """Return `centre [low, high]`, the bounds only where there are any."""
    centre, low, high = found[:3]
    return figure_text(centre) + (f" [{figure_text(low)}, {figure_text(high)}]" if np.isfinite(low + high) else "")


def score_table(groups: Sequence[Group]) -> Table:
    """Return every line's scores."""
    shown, data = [], []
    for group in groups:
        for line in group.lines:
            found = {name: summary(values, group.statistic) for name, values in scores(line, group.metric).items()}
            seeds = f"{len(line.members)}" + f" (and {len(line.diverged)} diverged)" * bool(line.diverged)
            shown.append({"task": group.title, "algorithm": line.label, "seeds": seeds}
                         | {HEADINGS[name]: with_bounds(one) for name, one in found.items()})  # fmt: skip
            data += [_score_row(group, line, name, one) for name, one in found.items()]
    statistics = sorted({SAYS[group.statistic] for group in groups})
    return Table("scores", f"Scores ({'; '.join(statistics)})", pd.DataFrame(shown), pd.DataFrame(data),
                 notes_on(groups))  # fmt: skip


def _score_row(group: Group, line: Line, name: str, found: Summary) -> dict[str, Any]:
    return {"task": group.title, "algorithm": line.label, "metric": group.metric, "score": name,
            "statistic": group.statistic, **found._asdict(), "diverged": len(line.diverged),
            "forced": "; ".join(group.forced)}  # fmt: skip


def settings_table(groups: Sequence[Group]) -> Table | None:
    """Return in which settings lines of one algorithm differ, None where each algorithm has one line."""
    rows = [
        (group.title, line.label, ", ".join(f"{key}={value}" for key, value in line.settings.items()))
        for group in groups
        for line in group.lines
        if line.settings
    ]
    frame = pd.DataFrame(rows, columns=["task", "line", "settings"])
    return Table("settings", "Settings in which lines of one algorithm differ", frame, frame) if rows else None


def verdict_table(groups: Sequence[Group]) -> Table:
    """Return what may be said of every two lines of a group."""
    found = [(group, verdict) for group in groups for verdict in verdicts(group)]
    rows = [(group.title, basis(group), one.first, one.second, one.says) for group, one in found]
    frame = pd.DataFrame(rows, columns=["task", "score", "higher mean", "lower mean", "what it says"])
    shown = frame.assign(difference=[with_bounds(one.more) for _, one in found])
    data = frame.assign(**{name: [getattr(one.more, place) for _, one in found] for name, place in DIFFERENCE.items()})
    return Table("comparisons", "Comparisons", shown, data, (BY_WELCH, *notes_on(groups)))


def aggregate_table(found: Aggregates, ranges: Mapping[str, Range], groups: Sequence[Group]) -> Table:
    """Return interquartile means and probabilities of improvement."""
    rows = [("interquartile mean", label, bounds) for label, bounds in found.iqm.items()]
    rows += [("P(improvement)", f"{a} > {b}", bounds) for (a, b), bounds in found.improvement.items()]
    shown = pd.DataFrame([(what, whose, with_bounds(b)) for what, whose, b in rows], columns=["", "of", "value"])
    data = pd.DataFrame([(what, whose, *b) for what, whose, b in rows],
                        columns=["estimate", "of", "centre", "low", "high"])  # fmt: skip
    scales = tuple(
        f"{title}: 0 is {figure_text(r.low)} and 1 is {figure_text(r.high)} ({r.source})" for title, r in ranges.items()
    )
    return Table("aggregates", "All tasks together", shown, data, scales + notes_on(groups))


def run_table(runs: Sequence[ArchivedRun], pool: Pool, now: datetime) -> Table:
    """Return every run: seed, machine, commit, versions, how it ended, and whether it takes part."""
    used = {
        str(member.run.folder): (group, line.label, member)
        for group in pool.groups for line in group.lines for member in line.members
    }  # fmt: skip
    frame = pd.DataFrame([_run_row(run, pool, used.get(str(run.folder)), now) for run in runs])
    return Table("runs", "Every run", frame, frame)


def _run_row(
    run: ArchivedRun, pool: Pool, place: tuple[Group, str, Member] | None, now: datetime
) -> dict[str, Any]:  # fmt: skip
    host, versions = _names(run.status.get("host")), _names(run.info.get("environment"))
    experiment = _names(run.status.get("experiment"))
    packages = experiment.get("dependencies")
    told = {
        "run": str(run.folder),
        "task": place[0].title if place else run.task,
        "line": place[1] if place else run.algorithm,
        "framework": run.framework or "this",
        "seed": run.config.get("seed", DASH),
        "ended": run.ended(now),
        "in the figures": "yes" if place else f"no: {pool.left_out[str(run.folder)]}",
        "evaluations": len(place[2].evaluations.steps) if place else DASH,
        "steps": int(place[2].evaluations.steps[-1]) if place else DASH,
        "hours": figure_text(place[2].evaluations.hours[-1])
        if place and place[2].evaluations.hours is not None else DASH,
        "machine": host.get("hostname", DASH),
        "processor": host.get("cpu", DASH),
        "python": host.get("python_version", DASH),
        "packages": ", ".join(map(str, packages)) if isinstance(packages, list) else DASH,
        "environment version": ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) or DASH,
        "commit": ", then ".join(run.commits) if run.info else DASH,
    }  # fmt: skip
    return told


def _names(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def notes_on(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return what has to be read with tables of several groups, see `notes_of`."""
    return tuple(f"{group.title}: {note}" for group in groups for note in notes_of(group))
