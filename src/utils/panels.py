"""What the reports' pictures share. Figures are made without pyplot: no window, and nothing to close."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.drawing import AGENT_COLOURS, FAINT

BLUE, ORANGE, GREEN = AGENT_COLOURS[:3]
DPI = 120


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels in reading order, each `width` x `height` inches."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=DPI)
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def blank(panel: Axes) -> None:
    """Leave nothing but what is drawn in a panel, and its labels."""
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)


def say(panel: Axes, text: str) -> None:
    """Write why a panel is empty."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=FAINT)


def plain(text: str) -> str:
    """Return a name as Matplotlib is to write it: dollar signs would begin a formula."""
    return text.replace("$", r"\$")
