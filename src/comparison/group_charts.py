"""The charts of one group: curves against steps, wall-clock and updates; and its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comparison.charts import Chart, Dot, Panel, Stroke
from comparison.evaluations import AXES, smoothed
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


def forced_notes(group: Group) -> tuple[str, ...]:
    """Return what is printed on every figure of a group whose runs should not have been pooled."""
    return (f"--force: pooled although runs differ in {'; '.join(group.forced)}",) if group.forced else ()


def curves(group: Group, name: str) -> Chart:
    """Return the learning curves of a group."""
    notes = forced_notes(group)
    if group.smooth > 1:
        notes += (f"--smooth: every value is the mean of the last {group.smooth} evaluations of its run",)
    panels = []
    for axis, label in AXES.items():
        found = [_stroke(line, axis, group.statistic, group.smooth) for line in group.lines]
        strokes = [stroke for stroke in found if stroke is not None]
        if axis == "hours" and strokes and all(stroke.x[-1] < 1 for stroke in strokes):
            strokes = [replace(stroke, x=60 * stroke.x) for stroke in strokes]
            label = label.replace("hours", "minutes")
        title = f"against {label.partition(' (')[0]}"
        panels.append(Panel(title, label, quantity(group), tuple(strokes), y_range=_reach(group)))
    return Chart(
        name,
        f"{group.title}: learning curves",
        f"{SAYS[group.statistic].capitalize()}; runs are interpolated between their evaluations, over the stretch that "
        "all of a line have covered. The frame is that of the values; wide intervals leave it. Wall-clock is that of "
        "the machines listed below, with whatever else they did; an axis lacks a line where its archives do not tell.",
        tuple(panels),
        notes,
    )


def _reach(group: Group) -> tuple[float, float]:
    """Return the range of all values, with a margin: the interval of two seeds would need many times as much."""
    values = np.concatenate([member.evaluations.values for line in group.lines for member in line.members])
    margin = 0.07 * (values.max() - values.min()) or 0.5
    return float(values.min() - margin), float(values.max() + margin)


def _stroke(line: Line, axis: str, statistic: str, smooth: int) -> Stroke | None:
    """Return a line against one axis, or None where a run does not tell, or the runs share no stretch."""
    series = [smoothed(member.evaluations, smooth).against(axis) for member in line.members]
    if any(one is None for one in series):
        return None
    try:
        x, values = aligned([one for one in series if one is not None])
    except UserError:
        return None
    return Stroke(_counted(line), line.style, x, *STATISTICS[statistic](values))


def _counted(line: Line) -> str:
    count = len(line.members)
    return f"{line.label} ({count} seed{'s' if count > 1 else ''})"


def score_chart(group: Group, name: str) -> Chart:
    """Return the scores of a group's lines, with the paper's figures for this task beside the final ones."""
    panels = [
        Panel(HEADINGS[score], quantity(group), dots=tuple(_dots(group, score)))
        for score in SCORES
        if any(np.isfinite(scores(line, group.metric)[score]).all() for line in group.lines)
    ]
    missing = [HEADINGS[score] for score in SCORES if HEADINGS[score] not in {panel.title for panel in panels}]
    lacks = f" No run's archive has the {', '.join(missing)}." if missing else ""
    caption = f"{SAYS[group.statistic].capitalize()}; the small marks are single runs.{lacks}"
    if any(dot.theirs for panel in panels for dot in panel.dots):
        caption += " Hollow and grey: the paper's own figure, of its own runs, steps and code."
    return Chart(name, f"{group.title}: scores", caption, tuple(panels), forced_notes(group))


def _dots(group: Group, score: str) -> Sequence[Dot]:
    dots = []
    for line in group.lines:
        values = scores(line, group.metric)[score]
        found = summary(values, group.statistic)
        dots.append(Dot(_counted(line), line.style, found.centre, found.low, found.high, tuple(map(float, values))))
    if score == "final":
        dots += [
            Dot(f"paper: {figure.algorithm}, {figure.steps / 1e6:g}M steps", THEIRS, figure.value, theirs=True)
            for figure in published_beside(group)
        ]
    return dots
