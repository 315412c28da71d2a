"""Environments whose rules are somebody else's code: what goes wrong in it is told in one line, and can be repeated."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from envs.batch import EnvsInTurn
from envs.multiagentenv import EpisodeLostError, MultiAgentEnv
from envs.task_code import MisfitError, lost_episode, tasks_own
from utils.errors import RunFailedError, UserError


class GuardedEnv(MultiAgentEnv):
    """Calls a task's code in `_begin` and `_go_on`, and keeps the joint actions of the episode that is played.

    What does not fit raises `UserError`, one line with step and seed. What the code itself raises loses the episode,
    `sys.exit()` included, and the game behind it is dropped. `where` begins every such line.
    """

    where: str

    def __init__(self) -> None:
        self._seed, self._steps, self._taken = 0, 0, []

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> EnvsInTurn:
        """Return n of these environments; what is found out of the task is found out once."""
        return cls._in_turn(cls(**env_args), n)

    @classmethod
    def _in_turn(cls, first: Self, n: int) -> EnvsInTurn:
        """Return an environment and n - 1 like it."""
        rest = iter([first])
        return EnvsInTurn(lambda: next(rest, None) or cls._like(first), n)

    @classmethod
    @abstractmethod
    def _like(cls, other: Self) -> Self:
        """Return another environment of the same task."""

    @abstractmethod
    def _begin(self, seed: int) -> None:
        """Begin an episode."""

    @abstractmethod
    def _go_on(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take a joint action, see `MultiAgentEnv.step`; `_steps` counts it already."""

    @abstractmethod
    def _drop(self) -> None:
        """Let go of the task's environment, so that the next episode has another one; it may raise."""

    def reset(self, seed: int) -> None:
        """Begin an episode drawn from `seed`."""
        self._seed, self._steps, self._taken = int(seed), 0, []
        self._doing("reset", self._begin, self._seed)

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action; see `MultiAgentEnv.step`."""
        self._steps += 1
        self._taken.append(actions.copy())
        return self._doing("step", self._go_on, actions)

    def _doing(self, what: str, work: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return work(argument)
        except MisfitError as why:
            raise UserError(f"{self.where}: {why}, at step {self._steps} of the episode of seed {self._seed}") from why
        except (UserError, RunFailedError, EpisodeLostError):
            raise
        except BaseException as why:
            if not tasks_own(why):
                raise
            lost = lost_episode(why, f"{self.where}: {what}()", self._seed, self._taken)
            self._drop_quietly()
            raise lost from why

    def _drop_quietly(self) -> None:
        try:
            self._drop()
        except BaseException as why:  # the task has failed already, and that is told
            if not tasks_own(why):
                raise
