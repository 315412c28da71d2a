"""Copies of a VMAS scenario that are stepped together, as a batch of environments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np

from envs.batch import EnvsInTurn
from envs.gymma_games import Game, Shown, Step
from envs.gymma_task import Task
from envs.multiagentenv import EpisodeLostError, MultiAgentEnv, Outcome, View
from envs.task_code import MisfitError, running
from envs.vmas_scenarios import Copies, width_of
from utils.errors import UserError


class Seat(Game):
    """One copy's place among others: it is told beforehand what its next call returns."""

    def __init__(self, task: Task) -> None:
        self.env, self.names = gymnasium.Env(), task.names
        self.shown: Shown | None = None
        self.led_to: Step | None = None

    def reset(self, seed: int) -> Shown:
        """Return what has been shown."""
        return self.shown

    def step(self, actions: Sequence[Any]) -> Step:
        """Return what the step has led to."""
        return self.led_to


class ScenarioBatch(EnvsInTurn):
    """n environments of a task whose copies are stepped in one call; `make` makes one that plays at a seat."""

    def __init__(self, task: Task, copies: Copies, n: int, make: Callable[[Task], MultiAgentEnv]) -> None:
        self._task, self._copies = task, copies
        self._seats = [Seat(task) for _ in range(n)]
        at = iter(self._seats)
        super().__init__(lambda: make(_at(task, next(at))), n)

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        """Begin an episode in each of some slots."""
        with running(f"{self._task.where}: reset() with seeds {list(seeds)}"):
            shown = self._copies.reset(slots, seeds)
        for slot, each in zip(slots, shown, strict=True):
            self._seats[slot].shown = each
        return super().reset(slots, seeds)

    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        """Step all copies at once."""
        try:
            with running(f"{self._task.where}: a step of {len(slots)} copies"):
                told = self._copies.step(slots, [self._task.team.native(action) for action in actions])
        except MisfitError as why:
            raise UserError(f"{self._task.where}: {why}") from why
        for slot, each in zip(slots, told, strict=True):
            self._seats[slot].led_to = each
        return super().step(slots, actions)


def _at(task: Task, seat: Seat) -> Task:
    return replace(task, make=lambda: seat, remake=False)


def batch_of(
    task: Task, scenario: str, kwargs: Mapping[str, Any], n: int, make: Callable[[Task], MultiAgentEnv]
) -> ScenarioBatch | None:
    """Return n environments whose copies are stepped together; None where the scenario's may not be."""
    width = width_of(scenario, **kwargs)
    own = {name: value for name, value in kwargs.items() if name != "together"}
    return ScenarioBatch(task, Copies(n, width, scenario, **own), n, make) if width > 1 else None
