"""The charts of one group: curves against steps, updates and minutes; and its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comparison.charts import Chart, Dot, Panel, Stroke
from comparison.equal import machines_of, series_of
from comparison.evaluations import AXES
from comparison.families import family_of, forward
from comparison.intervals import SAYS, STATISTICS, summary
from comparison.line_styles import Style
from comparison.pooling import Group, Line
from comparison.published import published_beside
from comparison.scores import SCORES, scores
from comparison.series import aligned
from utils.errors import UserError

THEIRS = Style("#555555", "-", "D")
HEADINGS = {"final": "final value", "maximum": "maximum", "absolute": "absolute metric", "area": "mean over training"}


def quantity(group: Group) -> str:
    """Return the name of what a group's figures show, with its unit."""
    if group.metric == "test_return_mean":
        return "greedy test return (mean per episode)"
    if group.metric == "test_battle_won_mean":
        return "greedy test win rate (share of battles)"
    return group.metric.replace("_", " ")


def notes_of(group: Group) -> tuple[str, ...]:
    """Return what is printed on every figure of a group.

    That its runs should not have been pooled, that some are foreign, that some diverged.
    """
    forced = (f"--force: pooled although runs differ in {'; '.join(group.forced)}",) if group.forced else ()
    return forced + group.foreign + group.diverged


def curves(group: Group, name: str) -> Chart:
    """Return the learning curves of a group."""
    notes = notes_of(group)
    if group.smooth > 1:
        notes += (f"--smooth: every value is the mean of the last {group.smooth} evaluations of its run",)
    machines, bright = machines_of(group), forward(group)
    panels = []
    for axis, label in AXES.items():
        machine = machines[0] if axis == "minutes" and machines else ""
        found = [_stroke(line, axis, machine, group) for line in group.lines]
        strokes = [replace(stroke, grey=stroke.name not in bright) for stroke in found if stroke is not None]
        title = f"against {label.partition(' (')[0]}" + (f" on {machine.partition(' (')[0]}" if machine else "")
        panels.append(Panel(title, label, quantity(group), tuple(strokes), y_range=_reach(group)))
    return Chart(
        name,
        f"{group.title}: learning curves",
        f"{SAYS[group.statistic].capitalize()}; runs are interpolated between their evaluations, over the stretch that "
        "all of a line have covered. The frame is that of the values; wide intervals leave it. An axis lacks a line "
        f"where its archives do not tell. {_minutes(group, machines)}{_grey(group, bright)}",
        tuple(panels),
        notes,
    )


def _reach(group: Group) -> tuple[float, float]:
    """Return the range of all values, with a margin: the interval of two seeds would need many times as much."""
    values = np.concatenate([member.evaluations.values for line in group.lines for member in line.members])
    margin = 0.07 * (values.max() - values.min()) or 0.5
    return float(values.min() - margin), float(values.max() + margin)


def _minutes(group: Group, machines: Sequence[str]) -> str:
    """Return whose minutes are drawn, and whose are not: those of two machines are never mixed."""
    if not machines:
        return "No archive tells on which machine it ran, so there are no minutes."
    elsewhere = sum(m.run.machine != machines[0] for line in group.lines for m in line.members)
    others = f"; {elsewhere} runs of other machines, or of several, are not in that picture" if elsewhere else ""
    return f"Minutes are those of {machines[0]} alone, with whatever else it did{others}."


def _grey(group: Group, bright: frozenset[str]) -> str:
    grey = len(group.lines) - len(bright)
    if not grey:
        return ""
    return (
        f" Of {len(group.lines)} lines those {len(bright)} stand out that have the highest mean over training; {grey} "
        "are grey. On the page a click on a name, or on a family's, puts it forward or back, in every picture."
    )


def _stroke(line: Line, axis: str, machine: str, group: Group) -> Stroke | None:
    """Return a line against one axis, or None where a run does not tell, or the runs share no stretch."""
    series = series_of(line, axis, machine, group.smooth)
    if series is None:
        return None
    try:
        x, values = aligned(series)
    except UserError:
        return None
    label = counted(line.label, len(series))
    return Stroke(label, line.style, x, *STATISTICS[group.statistic](values), line.label, family_of(line))


def counted(label: str, seeds: int) -> str:
    """Return a line's label with its number of seeds."""
    return f"{label} ({seeds} seed{'s' if seeds > 1 else ''})"


def score_chart(group: Group, name: str) -> Chart:
    """Return the scores of a group's lines, with papers' figures for this task beside the final ones."""
    panels = [
        Panel(HEADINGS[score], quantity(group), dots=tuple(_dots(group, score)))
        for score in SCORES
        if any(np.isfinite(scores(line, group.metric)[score]).all() for line in group.lines)
    ]
    missing = [HEADINGS[score] for score in SCORES if HEADINGS[score] not in {panel.title for panel in panels}]
    lacks = f" No run's archive has the {', '.join(missing)}." if missing else ""
    caption = f"{SAYS[group.statistic].capitalize()}; the small marks are single runs.{lacks}"
    if any(dot.theirs for panel in panels for dot in panel.dots):
        caption += " Hollow and grey: a paper's own figure, of its own runs, steps and code."
    return Chart(name, f"{group.title}: scores", caption, tuple(panels), notes_of(group))


def _dots(group: Group, score: str) -> Sequence[Dot]:
    dots = []
    for line in group.lines:
        values = scores(line, group.metric)[score]
        found = summary(values, group.statistic)
        label, runs = counted(line.label, len(values)), tuple(map(float, values))
        dots.append(Dot(label, line.style, found.centre, found.low, found.high, runs))
    if score == "final":
        dots += [
            Dot(f"{figure.label}, {figure.steps / 1e6:g}M steps", THEIRS, figure.value, theirs=True)
            for figure in published_beside(group)
        ]
    return dots
