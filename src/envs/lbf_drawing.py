"""Pictures of Level-Based Foraging, from the state of the game.

Agents are numbered discs, food is yellow, the white badge of either is its level. In an agent's colour, cells in which
it sees food are shaded, and cells in which it sees other agents are framed: at the upper and left border that frame is
wider than the shade (see `FastForaging._make_gym_obs`).
"""

import numpy as np
from lbforaging.foraging.environment import Player

from envs.lbf_game import FastForaging
from utils.drawing import FAINT, INK, PAPER, RULE, YELLOW, Box, Canvas, Point, agent_colour

GRID_SIDE, SMALLEST_CELL, LARGEST_CELL = 560, 24, 72  # pixels; the first is what the longer side should measure
MARGIN, LINE, TEXT = 16, 24, 14
LEAST_WIDTH, ENTRY_WIDTH = 480, 186  # of the picture, and of what is said of one agent
SHADE = "24"  # opacity, of FF
GRASS, LEAF, OUTLINE = "#FAFAF7", "#3C7A3C", "#8C8200"

Cell = tuple[int, int]  # row, column
Cells = tuple[int, int, int, int]  # a window: first row, first column, last row, last column


def seen_food(cell: Cell, sight: int) -> Cells:
    """Return the window in which an agent on `cell` sees food; it may reach over the border."""
    row, col = cell
    return row - sight, col - sight, row + sight, col + sight


def seen_agents(cell: Cell, sight: int) -> Cells:
    """Return the window in which an agent on `cell` sees other agents; it may reach over the border."""
    top, left = max(cell[0] - sight, 0), max(cell[1] - sight, 0)
    return top, left, top + 2 * sight, left + 2 * sight


def draw(game: FastForaging) -> np.ndarray:
    """Return a picture of the game as it is now: (height, width, 3) uint8, of one size throughout an episode."""
    return _Drawing(game).array()


class _Drawing:
    def __init__(self, game: FastForaging) -> None:
        self.game = game
        self.rows, self.cols = game.field_size
        self.cell = min(max(GRID_SIDE // max(self.rows, self.cols), SMALLEST_CELL), LARGEST_CELL)
        self.width = max(self.cols * self.cell + 2 * MARGIN, LEAST_WIDTH)
        self.left = (self.width - self.cols * self.cell) // 2
        self.bottom = MARGIN + self.rows * self.cell
        self.per_line = (self.width - 2 * MARGIN) // ENTRY_WIDTH
        lines = 2 + -(-len(game.players) // self.per_line)
        self.canvas = Canvas(self.width, self.bottom + MARGIN // 2 + lines * LINE + MARGIN // 2)

    def array(self) -> np.ndarray:
        self._grid()
        for cell, level in self.game.food_left.items():
            self._food(cell, level)
        for agent, player in enumerate(self.game.players):
            self._agent(agent, player)
        self._words()
        return self.canvas.array()

    def _box(self, cells: Cells) -> Box:
        """Return the pixels of a window, cut at the border."""
        top, left, bottom, right = cells
        rows, cols = (max(top, 0), min(bottom + 1, self.rows)), (max(left, 0), min(right + 1, self.cols))
        return (
            self.left + cols[0] * self.cell, MARGIN + rows[0] * self.cell,
            self.left + cols[1] * self.cell, MARGIN + rows[1] * self.cell,
        )  # fmt: skip

    def centre(self, cell: Cell) -> Point:
        return self.left + (cell[1] + 0.5) * self.cell, MARGIN + (cell[0] + 0.5) * self.cell

    def _grid(self) -> None:
        whole = self._box((0, 0, self.rows, self.cols))
        self.canvas.box(whole, fill=GRASS)
        if not self._all_seen():
            for agent, player in enumerate(self.game.players):
                self._windows(player.position, agent_colour(agent), inset=1.5 + 2.5 * (agent % 3))
        for row in range(1, self.rows):
            y = MARGIN + row * self.cell
            self.canvas.line([(whole[0], y), (whole[2], y)], RULE)
        for col in range(1, self.cols):
            x = self.left + col * self.cell
            self.canvas.line([(x, whole[1]), (x, whole[3])], RULE)
        self.canvas.box(whole, outline=FAINT, width=1.5)

    def _all_seen(self) -> bool:
        return self.game.sight >= max(self.rows, self.cols)

    def _windows(self, cell: Cell, colour: str, inset: float) -> None:
        """Shade where an agent sees food, frame where it sees agents; insets keep frames of several apart."""
        self.canvas.box(self._box(seen_food(cell, self.game.sight)), fill=colour + SHADE)
        left, top, right, bottom = self._box(seen_agents(cell, self.game.sight))
        frame = (left + inset, top + inset, right - inset, bottom - inset)
        self.canvas.box(frame, outline=colour, width=1.5, radius=4)

    def _food(self, cell: Cell, level: int) -> None:
        (x, y), unit = self.centre(cell), self.cell / 10
        self.canvas.line([(x, y - 2 * unit), (x + 0.6 * unit, y - 4 * unit)], LEAF, max(0.5 * unit, 1))
        self.canvas.polygon([(x + 0.4 * unit, y - 3.2 * unit), (x + 2 * unit, y - 4.4 * unit),
                             (x + 2.4 * unit, y - 3 * unit)], LEAF)  # fmt: skip
        self.canvas.circle((x, y + 0.3 * unit), 2.9 * unit, YELLOW, OUTLINE, max(0.2 * unit, 1))
        self._badge(cell, level)

    def _agent(self, agent: int, player: Player) -> None:
        self._disc(agent, self.centre(player.position), 0.34 * self.cell)
        self._badge(player.position, player.level)

    def _disc(self, agent: int, centre: Point, radius: float) -> None:
        self.canvas.circle(centre, radius, agent_colour(agent), PAPER)
        self.canvas.text(centre, str(agent + 1), radius * 1.15, PAPER, "mm")

    def _badge(self, cell: Cell, level: int) -> None:
        (x, y), unit = self.centre(cell), self.cell / 10
        self._level((x + 2.6 * unit, y + 2.7 * unit), 1.6 * unit, level)

    def _level(self, centre: Point, half: float, level: int) -> None:
        x, y = centre
        self.canvas.box((x - half, y - half, x + half, y + half), PAPER, INK, max(half / 9, 0.5), half / 2.5)
        self.canvas.text(centre, str(level), half * 1.5, INK, "mm")

    def _words(self) -> None:
        y, right = self.bottom + MARGIN // 2 + LINE / 2, self.width - MARGIN
        self.canvas.text((MARGIN, y), f"step {self.game.current_step}", TEXT)
        total = sum(player.score for player in self.game.players)
        self.canvas.text((right, y), f"return so far {total:.2f}", TEXT, anchor="rm")
        for agent, player in enumerate(self.game.players):
            line, place = divmod(agent, self.per_line)
            self._entry(agent, player, (MARGIN + place * ENTRY_WIDTH, y + (line + 1) * LINE))
        self._legend(self.canvas.height - MARGIN // 2 - LINE / 2)

    def _legend(self, y: float) -> None:
        x, size = MARGIN + 9, TEXT - 1
        self._level((x, y), 8, 1)
        self.canvas.text((x + 17, y), "level", size, FAINT)
        if self._all_seen():
            self.canvas.text((x + 84, y), "every agent sees the whole grid", size, FAINT)
            return
        colour = agent_colour(0)
        self.canvas.box((x + 84, y - 8, x + 100, y + 8), fill=colour + SHADE)
        self.canvas.text((x + 108, y), "sees food here", size, FAINT)
        self.canvas.box((x + 224, y - 8, x + 240, y + 8), outline=colour, width=1.5, radius=4)
        self.canvas.text((x + 248, y), "sees other agents here", size, FAINT)

    def _entry(self, agent: int, player: Player, at: Point) -> None:
        """Say what an agent has got so far, and with the last step."""
        x, y = at
        self._disc(agent, (x + 9, y), 9)
        earned = f"own return {player.score:.2f}"
        if self.game.current_step and player.reward:  # at step 0 the library still has the last episode's reward
            earned += f"  ({player.reward:+.2f})"
        self.canvas.text((x + 26, y), earned, TEXT)


def draw_observation(seen: np.ndarray, foods: int, side: Cell) -> np.ndarray:
    """Return a picture of what one agent sees, or is imagined to see: (height, width, 3) uint8.

    Args:
        seen: (3 (foods + players),) row, column and level of all food, of the agent itself and of the others; nobody
            is where a number is below -0.5. Places need not be whole numbers.
        foods: how many of them are food.
        side: rows and columns of what it can see.
    """
    cell, (rows, cols) = 40, side
    canvas = Canvas(cols * cell, rows * cell)
    canvas.box((0, 0, cols * cell, rows * cell), fill=GRASS)
    for k in range(1, max(rows, cols)):
        canvas.line([(k * cell, 0), (k * cell, rows * cell)], RULE)
        canvas.line([(0, k * cell), (cols * cell, k * cell)], RULE)
    for k, (row, col, level) in enumerate(np.asarray(seen, dtype=float).reshape(-1, 3)):
        if min(row, col) < -0.5 or not np.isfinite(row + col + level):
            continue
        at = (col + 0.5) * cell, (row + 0.5) * cell
        canvas.circle(at, 0.36 * cell, YELLOW if k < foods else agent_colour(k - foods), OUTLINE if k < foods else None)
        canvas.text(at, str(round(level)), TEXT, INK if k < foods else PAPER, "mm")
    return canvas.array()
