"""Charts drawn with Matplotlib, for paper: PNG and PDF."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from comparison.charts import Chart, Dot, Panel, Stroke
from utils.drawing import FAINT
from utils.panels import panels, plain, say

WIDTH = 5.2  # inches of a panel
ROW_HEIGHT = 0.36  # inches of a row of dots
Y_LETTERS = 22  # in a line of the label that stands upright
LETTERS, LEGEND_ROW = 13, 0.19  # small text: letters in an inch, inches of a row
MARKERS = 8  # markers along a line
GREY = "#BDBDBD"  # of lines that stand back
NOTHING = "the archives do not tell"


def write_chart(chart: Chart, folder: Path) -> list[str]:
    """Write a chart as PNG and PDF and return the names of the files."""
    figure = draw(chart)
    names = [f"{chart.name}.png", f"{chart.name}.pdf"]
    for name in names:
        figure.savefig(folder / name)
        figure.set_layout_engine("none")  # the second is laid out as the first, which takes a third of the time
    return names


def draw(chart: Chart) -> Figure:
    """Return a chart as a figure: panels in a row of three or in rows of two, one legend, notes at the bottom."""
    rows_of_dots = max(len(panel.dots) for panel in chart.panels)
    height = 1.1 + ROW_HEIGHT * rows_of_dots if rows_of_dots else 3.6
    columns = 3 if len(chart.panels) == 3 else min(len(chart.panels), 2)
    figure, axes = panels(-(-len(chart.panels) // columns), columns, WIDTH, height)
    for panel, ax in zip(chart.panels, axes, strict=False):
        _draw_panel(panel, ax)
    for ax in axes[len(chart.panels) :]:
        ax.remove()
    figure.suptitle(plain(chart.heading), fontsize=12)
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if handles:
        fitting = int(LETTERS * WIDTH * columns / (max(map(len, handles)) + 8))
        in_a_row = max(1, min(len(handles), fitting))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=in_a_row, fontsize=9, frameon=False)
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * -(-len(handles) // in_a_row))
    if chart.notes:
        text = "\n".join(textwrap.fill(note, int(LETTERS * WIDTH * columns)) for note in chart.notes)
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (text.count("\n") + 1))
        figure.supxlabel(plain(text), fontsize=8, color="#B00020")
    return figure


def _draw_panel(panel: Panel, ax: Axes) -> None:
    ax.set(title=plain(panel.title), xlabel=plain(panel.x_label), ylabel=plain(textwrap.fill(panel.y_label, Y_LETTERS)))
    for stroke in panel.strokes:
        _draw_stroke(stroke, ax)
    if grey := sum(stroke.grey for stroke in panel.strokes):
        ax.plot([], [], color=GREY, linewidth=1, label=f"{grey} more")
    if panel.dots:
        _draw_dots(panel.dots, ax)
    elif not panel.strokes:
        say(ax, NOTHING)
    if panel.x_label.startswith(("environment steps", "updates")):
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k
    if panel.x_range:
        ax.set_xlim(panel.x_range)
    if panel.y_range:
        ax.set_ylim(panel.y_range)
    if panel.mark is not None:
        ax.axvline(panel.mark, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))


def _draw_stroke(stroke: Stroke, ax: Axes) -> None:
    style = stroke.style
    if stroke.grey:
        ax.plot(stroke.x, stroke.y, color=GREY, linewidth=1, zorder=1)
        return
    ax.plot(stroke.x, stroke.y, label=plain(stroke.label), color=style.colour, linestyle=style.line,
            marker=style.marker, markersize=5, markevery=max(1, len(stroke.x) // MARKERS), linewidth=1.8)  # fmt: skip
    ax.fill_between(stroke.x, stroke.low, stroke.high, color=style.colour, alpha=0.15, linewidth=0)


def _draw_dots(dots: tuple[Dot, ...], ax: Axes) -> None:
    for row, dot in enumerate(dots):
        style = dot.style
        if np.isfinite(dot.low):
            ax.plot([dot.low, dot.high], [row, row], color=style.colour, linewidth=2, solid_capstyle="butt")
        ax.plot(dot.runs, [row] * len(dot.runs), linestyle="", marker="|", color=style.colour, markersize=9, alpha=0.6)
        ax.plot([dot.value], [row], linestyle="", marker=style.marker, color=style.colour, markersize=7,
                fillstyle="none" if dot.theirs else "full")  # fmt: skip
    ax.set_yticks(range(len(dots)), [plain(textwrap.shorten(dot.label, 44, placeholder=" …")) for dot in dots])
    ax.set_ylim(len(dots) - 0.4, -0.6)
