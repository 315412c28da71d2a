"""Pictures of errors and of imagined actions against the horizon."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.drawing import FAINT, INK
from utils.panels import BLUE, GREEN, ORANGE, panels, say
from world_model_report.estimates import WHAT, Estimate, line

MODEL = {"color": BLUE, "linewidth": 2, "marker": "o", "markersize": 4}
KEEP = {"color": ORANGE, "linestyle": "--", "marker": "s", "markersize": 3.5}
MEAN = {"color": INK, "linewidth": 1, "marker": "_", "markersize": 6}
TOO_SHORT = "episodes are too short"


def draw_errors(found: Sequence[Estimate], rollout_horizon: int) -> Figure:
    """Draw the errors of latents and hidden states as shares of the error of always saying the mean."""
    figure, axes = panels(1, 2, 5.5, 4.2)
    for panel, (what, meaning) in zip(axes, WHAT.items(), strict=True):
        _line(panel, found, f"{what}_share", "model", "world model", MODEL)
        _line(panel, found, f"{what}_share", "keep", "keep: nothing changes", KEEP)
        _line(panel, found, f"{what}_share", "mean", "mean: always the mean of all rows", MEAN)
        panel.set(title=meaning, ylabel="squared error / that of the mean")
        _finish(panel, rollout_horizon)
    _legend(figure, axes[0], columns=3)
    return figure


def draw_matches(found: Sequence[Estimate], rollout_horizon: int) -> Figure:
    """Draw how often the imagined action is what the agent then did."""
    figure, (panel,) = panels(1, 1, 7, 4.4)
    _line(panel, found, "action_match", "ceiling", "greedy in the real hidden state (ceiling)",
          {"color": GREEN, "linestyle": "--"})  # fmt: skip
    _line(panel, found, "action_match", "model", "greedy in the imagined hidden state", MODEL)
    _line(panel, found, "action_match", "keep", "keep: greedy where imagination began", KEEP)
    _line(panel, found, "action_match", "chance", "chance: any available action", {"color": FAINT, "linestyle": ":"})
    panel.set(ylabel="share of agents' actions named", ylim=(0, 1.02))
    _finish(panel, rollout_horizon)
    _legend(figure, panel, columns=2)
    return figure


def _line(panel: Axes, found: Sequence[Estimate], quantity: str, predictor: str, label: str, style: dict) -> None:
    """Draw one predictor's mean and its band."""
    horizons, mean, low, high = line(found, quantity, predictor)
    panel.plot(horizons, mean, label=label, **style)
    panel.fill_between(horizons, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _finish(panel: Axes, rollout_horizon: int) -> None:
    panel.set_xlabel("steps ahead, j")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    furthest = max(len(drawn.get_xdata()) for drawn in panel.lines)
    if furthest == 0:
        say(panel, TOO_SHORT)
        return
    if 0 < rollout_horizon <= furthest:
        panel.axvline(rollout_horizon, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
        panel.annotate(f"J = {rollout_horizon}", (rollout_horizon, 1), (3, -3), xycoords=panel.get_xaxis_transform(),
                       textcoords="offset points", va="top", color=FAINT, fontsize=9)  # fmt: skip
    panel.set_ylim(bottom=0)


def _legend(figure: Figure, panel: Axes, columns: int) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
