"""Pictures of real against imagined trajectories, on the plane of the first two principal components.

Letters: L steps of an episode, D size of a latent (or hidden) state.
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from utils.drawing import INK, RULE
from utils.panels import panels
from world_model_report.lookahead import Lookahead
from world_model_report.planes import Plane, principal_plane

PATH_STEPS = 5  # imagined steps drawn, where the report looks further
STARTS = 6  # imagined paths per episode
PANELS_PER_ROW = 4
PANEL = 4.5, 5.0  # inches
START_COLOURS = mpl.colormaps["viridis"]


def draw_latent_paths(look: Lookahead, episodes: Sequence[int]) -> Figure:
    """Draw a panel per episode: the team's latent state, real and imagined."""
    plane = principal_plane(look.latent.numpy())
    figure, axes = panels(1, len(episodes), *PANEL)
    for panel, episode in zip(axes, episodes, strict=True):
        _draw_episode(panel, look, plane, episode, look.latent, look.foresight.latents)
        panel.set_title(f"episode {episode + 1}, {_steps(look.lengths[episode])}")
    _legend(figure)
    return figure


def draw_hidden_paths(look: Lookahead, episode: int) -> Figure:
    """Draw a panel per agent: its hidden state in one episode, real and imagined."""
    h = look.encoded.model_h
    n_agents = h.shape[1]
    columns = min(n_agents, PANELS_PER_ROW)
    figure, axes = panels(-(-n_agents // columns), columns, *PANEL)
    for agent in range(n_agents):
        plane = principal_plane(h[:, agent].numpy())
        imagined = [hidden[:, agent] for hidden in look.foresight.hiddens]
        _draw_episode(axes[agent], look, plane, episode, h[:, agent], imagined)
        axes[agent].set_title(f"agent {agent + 1}, episode {episode + 1}")
    for panel in axes[n_agents:]:
        panel.remove()
    _legend(figure)
    return figure


def spread_of_episodes(lengths: Sequence[int], count: int) -> list[int]:
    """Return up to `count` episodes: one of median length first, then the longest, then others in between."""
    by_length = np.argsort(lengths, kind="stable")
    places = [(len(lengths) - 1) // 2, len(lengths) - 1, (len(lengths) - 1) // 4]
    return [int(by_length[place]) for place in dict.fromkeys(places)][:count]


def imagined_path(look: Lookahead, episode: int, imagined: Sequence[Tensor], start: int) -> np.ndarray:
    """Return what was imagined from one step of an episode on, (steps, D): up to `PATH_STEPS`, or to its end."""
    steps = min(PATH_STEPS, len(imagined), look.lengths[episode] - start)
    return np.stack([look.of_episode(episode, imagined[j - 1], j)[start].numpy() for j in range(1, steps + 1)])


def _draw_episode(
    panel: Axes, look: Lookahead, plane: Plane, episode: int, real: Tensor, imagined: Sequence[Tensor]
) -> None:
    """Draw all real points faintly, the episode's path, and imagined paths from up to `STARTS` of its steps."""
    panel.scatter(*plane.project(real.numpy()).T, s=5, color=RULE, linewidths=0, zorder=1)
    path = plane.project(look.of_episode(episode, real).numpy())
    panel.plot(*path.T, color=INK, linewidth=1.4, marker="o", markersize=3.5, zorder=2)
    panel.plot(*path[0], marker="o", markersize=9, color="none", markeredgecolor=INK, zorder=2)
    panel.plot(*path[-1], marker="s", markersize=8, color="none", markeredgecolor=INK, zorder=2)
    drawn = [path]
    starts = np.unique(np.linspace(0, len(path) - 2, STARTS).astype(int))
    for start in starts:
        colour = START_COLOURS(0.1 + 0.8 * start / max(starts[-1], 1))
        points = plane.project(imagined_path(look, episode, imagined, start))
        points = np.vstack([path[start], points])
        panel.plot(*points.T, color=colour, linewidth=1.2, zorder=3)
        panel.plot(*points[1:].T, color=colour, linestyle="none", marker=".", markersize=5, zorder=3)
        drawn.append(points)
        missed = np.stack([points[-1], path[start + len(points) - 1]])
        panel.plot(*missed.T, color=colour, linewidth=0.9, linestyle=(0, (1, 2)), zorder=3)
    first, second = plane.shares
    panel.set(xlabel=f"component 1 ({first:.0%} of the variance)", ylabel=f"component 2 ({second:.0%})")
    _look_at(panel, np.vstack(drawn), everything=plane.project(real.numpy()))


def _look_at(panel: Axes, points: np.ndarray, everything: np.ndarray) -> None:
    """Show ``points (n, 2)`` in a square with some room, but no less than a third of all there is.

    What a diverged model imagines is nowhere, and is left out.
    """
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(1.15 * (high - low).max(), np.ptp(everything, axis=0).max() / 3, 1e-6)
    (x, y), half = (low + high) / 2, side / 2
    panel.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(6))


def _legend(figure: Figure) -> None:
    imagined = START_COLOURS(0.4)
    figure.legend(
        handles=[
            Line2D([], [], color=INK, marker="o", markersize=3.5, label="real (○ first step, □ end)"),
            Line2D([], [], color=imagined, marker=".", markersize=5, label=f"imagined, up to {PATH_STEPS} steps"
                   " (dark: begun early, bright: late)"),
            Line2D([], [], color=imagined, linestyle=(0, (1, 2)), label="from its end to where it should be"),
            Line2D([], [], color=RULE, marker=".", linestyle="none", label="real, all episodes"),
        ],
        loc="outside lower center", ncols=2 if len(figure.axes) > 1 else 1, fontsize=9, frameon=False,
    )  # fmt: skip


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
