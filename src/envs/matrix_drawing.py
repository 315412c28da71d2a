"""Pictures of matrix games: a payoff matrix for every state, with the joint actions taken in it."""

from collections.abc import Sequence

import numpy as np

from envs.matrix_payoffs import MatrixGame
from utils.drawing import FAINT, INK, RULE, YELLOW, Canvas, agent_colour

CELL, GAP, HEAD, FOOT, TEXT, BAR = 56, 44, 64, 44, 15, 10  # pixels

Joint = tuple[int, int, int]  # state, action of the first agent, action of the second


def draw(game: MatrixGame, state: int, taken: Sequence[Joint]) -> np.ndarray:
    """Return a picture of the game in `state`, after the joint actions `taken`: (height, width, 3) uint8."""
    n_actions = len(game.payoffs[0])
    side = n_actions * CELL
    canvas = Canvas(GAP + len(game.payoffs) * (side + GAP), HEAD + side + FOOT)
    for number in range(len(game.payoffs)):
        here = "  (now)" if number == state and len(game.payoffs) > 1 else ""
        _matrix(canvas, game, number, taken, GAP + number * (side + GAP), f"state {number}{here}")
    total = sum(game.payoffs[at][mine][other] for at, mine, other in taken)
    y = canvas.height - FOOT / 2
    canvas.text((GAP, y), f"step {len(taken)}", TEXT)
    canvas.text((canvas.width - GAP, y), f"return so far {total:g}", TEXT, anchor="rm")
    return canvas.array()


def draw_observation(game: MatrixGame, obs: np.ndarray) -> np.ndarray:
    """Return a picture of what both agents see, ``obs (2, states)``: below each state how much of it each of them sees.

    Numbers beyond 0 and 1, or none at all, are drawn as the nearer end of a bar.
    """
    side = len(game.payoffs[0]) * CELL
    canvas = Canvas(GAP + len(game.payoffs) * (side + GAP), HEAD + side + FOOT)
    shares = np.nan_to_num(obs, nan=0.0).clip(0.0, 1.0)
    for number in range(len(game.payoffs)):
        left = GAP + number * (side + GAP)
        _matrix(canvas, game, number, (), left, f"state {number}")
        for agent, share in enumerate(shares[:, number].tolist()):
            top = HEAD + side + 10 + agent * (BAR + 4)
            canvas.box((left, top, left + side, top + BAR), outline=RULE)
            if share > 0:
                canvas.box((left, top, left + share * side, top + BAR), agent_colour(agent))
    return canvas.array()


def _matrix(canvas: Canvas, game: MatrixGame, number: int, taken: Sequence[Joint], left: float, title: str) -> None:
    """Draw one state's matrix: the first agent picks the row, the second the column."""
    payoffs = game.payoffs[number]
    canvas.text((left + len(payoffs) * CELL / 2, 20), title, TEXT, INK if "now" in title else FAINT, "mm")
    for action in range(len(payoffs)):
        middle = (action + 0.5) * CELL
        canvas.text((left - 12, HEAD + middle), str(action), TEXT, agent_colour(0), "mm")
        canvas.text((left + middle, HEAD - 14), str(action), TEXT, agent_colour(1), "mm")
    for row, values in enumerate(payoffs):
        for col, value in enumerate(values):
            x, y = left + col * CELL, HEAD + row * CELL
            fill = YELLOW if (number, row, col) in taken else None
            canvas.box((x, y, x + CELL, y + CELL), fill, RULE)
            canvas.text((x + CELL / 2, y + CELL / 2), f"{value:g}", TEXT + 3, INK, "mm")
