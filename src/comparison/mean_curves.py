"""Learning curves in their plainest form: means over seeds, shaded from the least to the greatest."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from comparison.line_styles import style_of
from comparison.series import Series, aligned
from utils.panels import panels, plain

WIDTH, HEIGHT = 5.5, 4  # inches of a panel
PER_ROW = 3


class Line(NamedTuple):
    """A line of a panel: what stands in the legend, whose style it has, and a series for each seed."""

    label: str
    algorithm: str
    seeds: Sequence[Series]


class Curves(NamedTuple):
    """What a panel shows of a task: a metric, and its lines."""

    task: str
    metric: str
    lines: Sequence[Line]


def draw(tasks: Sequence[Curves]) -> Figure:
    """Return a figure with a panel for each; raise `UserError` where the seeds of a line share no steps."""
    columns = min(len(tasks), PER_ROW)
    figure, axes = panels(-(-len(tasks) // columns), columns, WIDTH, HEIGHT)
    for curves, panel in zip(tasks, axes, strict=False):
        _draw_panel(curves, panel)
    for panel in axes[len(tasks) :]:
        panel.remove()
    return figure


def _draw_panel(curves: Curves, panel: Axes) -> None:
    for line in curves.lines:
        steps, values = aligned(line.seeds)
        style = style_of(line.algorithm)
        panel.plot(steps, values.mean(axis=0), color=style.colour, linestyle=style.line, marker=style.marker,
                   markersize=4, label=plain(line.label))  # fmt: skip
        if len(values) > 1:
            low, high = values.min(axis=0), values.max(axis=0)
            panel.fill_between(steps, low, high, color=style.colour, alpha=0.2, linewidth=0)
    panel.set(title=plain(curves.task), xlabel="environment steps", ylabel=plain(curves.metric.replace("_", " ")))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k
    panel.legend(fontsize="small")
