"""The game of Level-Based Foraging, on the rules of `lbforaging` 2.0.0.

Versions: with S the sum of the three lowest player levels (of all levels if there are fewer players), a food
without `-coop` has a level drawn evenly from [1, S] in v3, which is what the library does, and from [1, S-1]
in v2, whose generator left the upper end out; where S is 1 the level is 1. With `-coop` nothing is drawn, in
either version: the level is S.
"""

from typing import NamedTuple

import numpy as np
from lbforaging.foraging import ForagingEnv
from lbforaging.foraging.environment import Action

from envs.lbf_task import LBFTask

_MOVES = [  # action, its number, rows down, columns to the right
    (Action.NORTH, Action.NORTH.value, -1, 0),
    (Action.SOUTH, Action.SOUTH.value, 1, 0),
    (Action.WEST, Action.WEST.value, 0, -1),
    (Action.EAST, Action.EAST.value, 0, 1),
]
_UNSEEN = [-1, -1, 0]

Cell = tuple[int, int]  # row, column


class _View(NamedTuple):
    """What standing on one cell means, as long as no food is taken."""

    actions: list[Action]  # the valid ones
    available: list[bool]  # the same, one per action
    top: int  # the window's first row and column: what an observation counts from
    left: int
    foods: list[int]  # the food part of the observation


class FastForaging(ForagingEnv):
    """The library's game with its observations and valid actions computed faster, as integers.

    Both depend on the agent's cell and on the food left; food is taken a few times per episode, so they
    are kept per cell until then. `food_left` maps cells to levels, `food_placed` counts the food at first.
    """

    def __init__(self, task: LBFTask, episode_limit: int) -> None:
        super().__init__(  # the arguments of the library's own registration
            players=task.players,
            min_player_level=1,
            max_player_level=2,
            field_size=(task.height, task.width),
            min_food_level=1,
            max_food_level=None,
            max_num_food=task.foods,
            sight=2 if task.short_sight else max(task.width, task.height),
            max_episode_steps=episode_limit,
            force_coop=task.coop,
            grid_observation=False,
            penalty=0.0,
        )
        self.food_left: dict[Cell, int] = {}
        self.food_placed = 0
        self._version = task.version
        self._views: dict[Cell, _View] = {}
        self._nothing_seen = _UNSEEN * (task.foods + task.players)

    def available(self) -> np.ndarray:
        """Return which actions do something now: (N, 6) bool; waiting always counts."""
        return np.array([self._views[player.position].available for player in self.players])

    def spawn_players(self, min_player_levels: np.ndarray, max_player_levels: np.ndarray) -> None:
        """Place the players (the library's hook)."""
        for player in self.players:
            player.position = None  # else cells of the last episode count as taken: reset would depend on it
        super().spawn_players(min_player_levels, max_player_levels)
        for player in self.players:
            row, col = player.position
            player.position = (int(row), int(col))
            player.level = int(player.level)

    def spawn_food(self, max_num_food: int, min_levels: np.ndarray, max_levels: np.ndarray) -> None:
        """Place the food by the version's rule (the library's hook; `max_levels` is S)."""
        if self._version == 2 and not self.force_coop:
            max_levels = np.maximum(max_levels - 1, min_levels)
        super().spawn_food(max_num_food, min_levels, max_levels)
        rows, cols = np.nonzero(self.field)
        cells = zip(rows.tolist(), cols.tolist(), strict=True)
        self.food_left = {cell: int(self.field[cell]) for cell in cells}
        self.food_placed = len(self.food_left)
        self._views.clear()

    def _gen_valid_moves(self) -> None:
        taken = [cell for cell in self.food_left if not self.field[cell]]
        if taken:
            for cell in taken:
                del self.food_left[cell]
            self._views.clear()
        self._valid_actions = {player: self._view(player.position).actions for player in self.players}

    def _view(self, cell: Cell) -> _View:
        view = self._views.get(cell)
        if view is None:
            view = self._views[cell] = self._look(cell)
        return view

    def _look(self, cell: Cell) -> _View:
        row, col = cell
        height, width = self.field_size
        actions, available, load = [Action.NONE], [False] * len(Action), False
        for action, value, down, right in _MOVES:
            to_row, to_col = row + down, col + right
            if (to_row, to_col) in self.food_left:
                load = True
            elif 0 <= to_row < height and 0 <= to_col < width:
                actions.append(action)
                available[value] = True
        if load:
            actions.append(Action.LOAD)
        available[Action.NONE.value], available[Action.LOAD.value] = True, load
        top, left = max(row - self.sight, 0), max(col - self.sight, 0)
        foods = []
        for (food_row, food_col), level in self.food_left.items():
            if max(abs(food_row - row), abs(food_col - col)) <= self.sight:
                foods += (food_row - top, food_col - left, level)
        foods += _UNSEEN * (self.max_num_food - len(foods) // 3)
        return _View(actions, available, top, left, foods)

    def _make_gym_obs(self) -> np.ndarray:
        """Return (N, obs_size) int8: row, column, level of each food, of oneself and of the others.

        Positions count from the corner of the agent's window. At the upper and left border that window is
        cut for food but not for players: there, players are seen up to four cells away.
        """
        reach = 2 * self.sight
        players = [(*player.position, player.level) for player in self.players]
        rows = []
        for index, (row, col, level) in enumerate(players):
            view = self._views[row, col]
            top, left = view.top, view.left
            seen = [*view.foods, row - top, col - left, level]
            for other, (other_row, other_col, other_level) in enumerate(players):
                y, x = other_row - top, other_col - left
                if 0 <= y <= reach and 0 <= x <= reach and other != index:
                    seen += (y, x, other_level)
            rows.append(seen + self._nothing_seen[len(seen) :])
        return np.array(rows, dtype=np.int8)
