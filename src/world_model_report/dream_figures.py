"""Pictures of what a recurrent world model foresees: errors against the horizon, calibration, one episode."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from utils.drawing import FAINT, INK
from utils.panels import BLUE, GREEN, ORANGE, blank, panels, say
from world_model_report.estimates import Estimate, line

STYLES = {
    "model": {"color": BLUE, "linewidth": 2, "marker": "o", "markersize": 4},
    "keep": {"color": ORANGE, "linestyle": "--", "marker": "s", "markersize": 3.5},
    "mean": {"color": INK, "linewidth": 1, "marker": "_", "markersize": 6},
    "shuffled": {"color": FAINT, "linestyle": ":"},
}
WHAT = {
    "obs_error": "observations: squared error",
    "reward_error": "reward that arrives: squared error",
    "goes_on_error": "continuation: squared error",
    "disagreement": "what two agents see alike: how far apart",
}
MOST_SHOWN = 8  # steps of an episode, beside each other


def draw_lines(found: Sequence[Estimate]) -> Figure:
    """Draw every quantity against the horizon, the model's beside the naive predictors'."""
    figure, axes = panels(2, 2, 5.5, 3.6)
    for panel, (quantity, title) in zip(axes, WHAT.items(), strict=True):
        panel.set(title=title, xlabel="steps ahead, j")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        drawn = {e.predictor for e in found if e.quantity == quantity}
        for predictor in (name for name in STYLES if name in drawn):
            horizons, mean, low, high = line(found, quantity, predictor)
            panel.plot(horizons, mean, label=predictor, **STYLES[predictor])
            panel.fill_between(horizons, low, high, color=STYLES[predictor]["color"], alpha=0.18, linewidth=0)
        if drawn:
            panel.set_ylim(bottom=0)
            panel.legend(fontsize=8, frameon=False)
        else:
            say(panel, "no number is always seen alike by two agents")
    return figure


def draw_calibration(found: Sequence[tuple[float, float, int]]) -> Figure:
    """Draw how often the task went on against how likely the model said that it would."""
    figure, (panel,) = panels(1, 1, 5, 4)
    said, real, count = np.array(found).T
    panel.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    panel.scatter(said, real, s=20 + 120 * count / count.max(), color=GREEN, zorder=3)
    panel.set(xlabel="said, one step ahead", ylabel="went on", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return figure


def draw_story(real: Tensor, imagined: Tensor, draw: Callable[[np.ndarray], np.ndarray] | None) -> Figure:
    """Draw an episode after its context, as the first agent saw it and as it was imagined to: (J, N, I) each.

    `draw` turns what all agents see into a picture; without it, an observation is a column of numbers in colours.
    """
    rows = {"real": real.numpy(), "imagined": imagined.numpy()}
    if draw is None:
        figure, axes = panels(1, 2, 5, 4.5)
        low, high = rows["real"][:, 0].min(), rows["real"][:, 0].max()
        for panel, (name, obs) in zip(axes, rows.items(), strict=True):
            panel.imshow(obs[:, 0].T, aspect="auto", vmin=low, vmax=high, interpolation="nearest")
            panel.grid(visible=False)
            panel.set(title=name, xlabel="steps after the context", ylabel="number of agent 1's observation")
        return figure
    picked = np.unique(np.linspace(0, len(real) - 1, MOST_SHOWN).round().astype(int))
    figure, axes = panels(2, len(picked), 1.8, 2)
    for k, (name, obs) in enumerate(rows.items()):
        for column, step in enumerate(picked):
            panel = axes[k * len(picked) + column]
            panel.imshow(draw(obs[step]))
            panel.grid(visible=False)
            panel.set(xticks=[], yticks=[], title=f"{step + 1}" if k == 0 else "")
            blank(panel)
            if column == 0:
                panel.set_ylabel(name)
    return figure
