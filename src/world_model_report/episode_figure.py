"""A picture of one episode, agent by agent and step by step: what was done, and what had been imagined.

Letters: N agents, L steps of the episode.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch as th
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from learners.targets import greedy_actions
from utils.drawing import INK, faded
from utils.panels import BLUE, DPI, ORANGE, blank, plain
from world_model_report.lookahead import Lookahead

STEPS_PER_LINE = 25
FEWEST_COLUMNS = 17  # the legend needs the room
MOST_STEPS = 100  # drawn of a long episode
BEFORE = 3  # from how many steps before imagined actions are shown, at most
CELL = 0.36, 0.235  # inches
TAKEN, AGREES, DIFFERS, NOTHING = "#E8E8E8", faded(BLUE, 0.35), faded(ORANGE, 0.6), "#FFFFFF"
ARROWS = {"north": "↑", "south": "↓", "west": "←", "east": "→"}


class Story(NamedTuple):
    """One episode: the actions taken, and which of them were greedy.

    `taken` (L, N); `greedy` (L, N) bool; `imagined`: for j = 1, 2, … what was imagined j steps before, (L, N), with -1
    where the episode had not begun.
    """

    taken: np.ndarray
    greedy: np.ndarray
    imagined: list[np.ndarray]


def story_of(look: Lookahead, episode: int) -> Story:
    """Return the first `MOST_STEPS` steps of an episode."""
    steps = min(look.lengths[episode], MOST_STEPS)
    acts = greedy_actions(look.encoded.q, look.avail)
    taken, greedy = (look.of_episode(episode, x)[:steps].numpy() for x in (look.taken, acts))
    imagined = []
    for j, actions in enumerate(look.foresight.actions[:BEFORE], start=1):
        unknown = th.full((min(j, steps), taken.shape[1]), -1)
        imagined.append(th.cat([unknown, look.of_episode(episode, actions, j)])[:steps].numpy())
    return Story(taken, greedy == taken, imagined)


def short_names(names: Sequence[str]) -> list[str]:
    """Return a sign for each action: an arrow for a direction, else its first letters, else its number."""
    signs = [ARROWS.get(name, "") for name in names]
    left = [name for name, sign in zip(names, signs, strict=True) if not sign]
    for length in (1, 2, 3):
        cut = [name[:length] for name in left]
        if len(set(cut)) == len(left):
            short = iter(cut)
            return [sign or next(short) for sign in signs]
    return [sign or str(number) for number, sign in enumerate(signs)]


def draw_episode(story: Story, names: Sequence[str]) -> Figure:
    """Draw lines of `STEPS_PER_LINE` steps, below each other; in each, a block of rows per agent."""
    steps, n_agents = story.taken.shape
    n_lines = -(-steps // STEPS_PER_LINE)
    rows = n_agents * (len(story.imagined) + 1) + (n_agents - 1) * 0.35
    columns = max(min(steps, STEPS_PER_LINE), FEWEST_COLUMNS)
    width, height = columns * CELL[0] + 1.9, n_lines * (rows * CELL[1] + 0.55) + 0.8
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    signs = short_names(names)
    for number, panel in enumerate(figure.subplots(n_lines, 1, squeeze=False)[:, 0]):
        _draw_line(panel, story, signs, number * STEPS_PER_LINE, columns)
    _legend(figure, names, signs)
    return figure


def _draw_line(panel: Axes, story: Story, signs: Sequence[str], first: int, columns: int) -> None:
    """Draw the steps from `first` on that stand in one line."""
    steps, n_agents = story.taken.shape
    shown = range(first, min(first + columns, steps))
    top, ticks = 0.0, {}
    for agent in range(n_agents):
        ticks[top + 0.5] = f"agent {agent + 1} did"
        for t in shown:
            _cell(panel, t, top, signs[story.taken[t, agent]], TAKEN, bold=True)
            if not story.greedy[t, agent]:
                panel.add_patch(Rectangle((t + 0.08, top + 0.08), 0.84, 0.84, fill=False, edgecolor=INK, linewidth=1))
        for j, imagined in enumerate(story.imagined, start=1):
            ticks[top + j + 0.5] = f"imagined {j} step{'s' * (j > 1)} before"
            for t in shown:
                _imagined_cell(panel, t, top + j, imagined[t, agent], story.taken[t, agent], signs)
        top += len(story.imagined) + 1.35
    panel.set(xlim=(first, first + columns), ylim=(top - 0.35, 0))
    panel.set_xticks([t + 0.5 for t in shown], [str(t) for t in shown], fontsize=8)
    panel.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    panel.xaxis.tick_top()
    blank(panel)


def _imagined_cell(panel: Axes, t: int, top: float, imagined: int, taken: int, signs: Sequence[str]) -> None:
    if imagined < 0:
        _cell(panel, t, top, "", NOTHING)
    else:
        _cell(panel, t, top, signs[imagined], AGREES if imagined == taken else DIFFERS)


def _cell(panel: Axes, t: int, top: float, sign: str, colour: str, bold: bool = False) -> None:
    panel.add_patch(Rectangle((t, top), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.2))
    panel.text(t + 0.5, top + 0.52, plain(sign), ha="center", va="center", fontsize=8.5,
               weight="bold" if bold else "normal", color=INK)  # fmt: skip


def _legend(figure: Figure, names: Sequence[str], signs: Sequence[str]) -> None:
    patches = [
        Patch(color=TAKEN, label="what the agent did"),
        Patch(facecolor=TAKEN, edgecolor=INK, label="… and was not its greedy action"),
        Patch(color=AGREES, label="imagined the same"),
        Patch(color=DIFFERS, label="imagined another"),
    ]
    meanings = ",  ".join(f"{sign} {name}" for sign, name in zip(signs, names, strict=True) if sign != name)
    figure.legend(handles=patches, loc="outside lower left", ncols=4, fontsize=8.5, frameon=False, alignment="left",
                  title=plain(meanings) or None, title_fontproperties={"size": 8.5})  # fmt: skip
