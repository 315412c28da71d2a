"""The strip below a picture: for every agent, the value or probability of each action, and what it chose.

Letters: N agents, A actions, or rows of the strip in general: the numbers of a continuous action, or the choices of all
parts of a multidiscrete one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from utils.drawing import FAINT, INK, PAPER, RULE, Canvas, agent_colour, faded, text_width

PANEL_WIDTH, GAP, MARGIN, ROW, HEAD, TEXT = 176, 16, 16, 19, 32, 13  # pixels; a panel is one agent's
UNAVAILABLE = "#C4C4C4"


@dataclass(frozen=True)
class Choice:
    """What the agents thought and did at one step: q (N, A) float, available (N, A) bool, actions (N,) or (N, K) int.

    q are values, probabilities, or the means of numbers; actions the rows that were chosen, K of them at once.
    """

    q: np.ndarray
    available: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True)
class Scale:
    """The values at the left and right end of every bar's place; 0 lies between or at one of them.

    `symbol` says what they are: Q for values, p for probabilities, mean for numbers.
    """

    low: float
    high: float
    symbol: str = "Q"

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 (left end) to 1; values beyond an end lie on it."""
        return float(np.clip((value - self.low) / (self.high - self.low), 0.0, 1.0))

    def text(self, value: float) -> str:
        """Return a value with about as many decimals as can be told apart on this scale."""
        decimals = int(np.clip(2 - np.floor(np.log10(self.high - self.low)), 0, 6))
        return f"{value:.{decimals}f}"


def chosen_rows(actions: np.ndarray, action_space: Any) -> np.ndarray:
    """Return which rows a joint action chooses, (N,) or (N, K): none of numbers, one of each part's choices."""
    if action_space.kind == "continuous":
        return actions[:, :0]
    return actions if action_space.kind == "discrete" else actions + np.cumsum((0, *action_space.sizes[:-1]))


def scale_of(choices: Sequence[Choice], symbol: str = "Q") -> Scale:
    """Return the scale on which all values of available actions have a place, and so does 0; that of p ends at 1."""
    if symbol == "p":
        return Scale(0.0, 1.0, symbol)
    values = np.concatenate([choice.q[choice.available] for choice in choices])
    values = values[np.isfinite(values)]
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return Scale(low, high if high > low else low + 1.0, symbol)


def strip_width(n_agents: int, at_least: int) -> int:
    """Return a width for which `draw_strip` has room: two panels beside each other where there are two agents."""
    panels = min(n_agents, 2)
    return max(at_least, panels * (PANEL_WIDTH + GAP) - GAP + 2 * MARGIN)


def draw_strip(
    choice: Choice | None, n_agents: int, action_names: Sequence[str], scale: Scale, width: int
) -> Image.Image:
    """Return one panel per agent, `width` pixels in all and of one height; None, after the end, leaves the bars out."""
    rows = -(-n_agents // ((width - 2 * MARGIN + GAP) // (PANEL_WIDTH + GAP)))
    per_row = -(-n_agents // rows)
    panel_width = (width - 2 * MARGIN + GAP) / per_row - GAP
    panel_height = HEAD + len(action_names) * ROW + GAP
    canvas = Canvas(width, rows * panel_height)
    canvas.line([(MARGIN, 0.5), (width - MARGIN, 0.5)], RULE)
    for agent in range(n_agents):
        row, col = divmod(agent, per_row)
        left = MARGIN + col * (panel_width + GAP)
        panel = _Panel(canvas, agent, left, row * panel_height, left + panel_width, action_names, scale)
        panel.draw(choice)
    return canvas.image()


class _Panel:
    """One agent's part of the strip: a row per action, with a mark at the chosen one, its name, a bar and a number."""

    def __init__(
        self, canvas: Canvas, agent: int, left: float, top: float, right: float, names: Sequence[str], scale: Scale
    ) -> None:
        self.canvas, self.agent, self.colour = canvas, agent, agent_colour(agent)
        self.left, self.top, self.right = left, top, right
        self.names, self.scale = names, scale
        numbers = max(text_width(scale.text(value), TEXT) for value in (scale.low, scale.high))
        self.bars = left + 18 + max(text_width(name, TEXT) for name in names) + 8  # where they begin
        self.bars_end = right - 8 - numbers - 8

    def draw(self, choice: Choice | None) -> None:
        y = self.top + HEAD / 2 + 2
        self.canvas.circle((self.left + 9, y), 8, self.colour)
        self.canvas.text((self.left + 9, y), str(self.agent + 1), 10, PAPER, "mm")
        self.canvas.text((self.left + 23, y), f"agent {self.agent + 1}", TEXT + 1)
        self.canvas.text((self.right - 8, y), self.scale.symbol, TEXT, FAINT, "rm")
        for action, name in enumerate(self.names):
            top = self.top + HEAD + action * ROW
            if choice is None:
                self.canvas.text((self.left + 18, top + ROW / 2), name, TEXT, UNAVAILABLE)
            else:
                place, chosen = (self.agent, action), action in np.atleast_1d(choice.actions[self.agent])
                self._row(top, name, choice.q[place], choice.available[place], chosen)
        x = self._x(0.0)
        self.canvas.line([(x, self.top + HEAD), (x, self.top + HEAD + len(self.names) * ROW)], FAINT)

    def _row(self, top: float, name: str, q: float, available: bool, chosen: bool) -> None:
        y, ink = top + ROW / 2, INK if available else UNAVAILABLE
        if chosen:
            self.canvas.box((self.left, top, self.right, top + ROW), faded(self.colour, 0.16), radius=4)
            self.canvas.polygon([(self.left + 5, y - 5), (self.left + 5, y + 5), (self.left + 13, y)], self.colour)
        self.canvas.text((self.left + 18, y), name, TEXT, ink)
        ends = sorted((self._x(0.0), self._x(q)))
        if ends[1] - ends[0] >= 0.5:  # never so for nan, which a diverged network gives
            bar = self.colour if chosen else faded(self.colour, 0.5) if available else RULE
            self.canvas.box((ends[0], top + 4, ends[1], top + ROW - 4), bar)
        self.canvas.text((self.right - 8, y), self.scale.text(q), TEXT, ink, "rm")

    def _x(self, value: float) -> float:
        return self.bars + self.scale.share(value) * (self.bars_end - self.bars)
