"""SMAClite: SMAC's battles in Python, without StarCraft II; the package's environment of Gymnasium as it is."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from typing import Any

from envs.gymma import GymmaEnv
from envs.gymma_games import Game
from envs.gymma_label import safe_name
from envs.gymma_task import Task

PACKAGE = "smaclite"
NOOP = 0


class SMACliteEnv(GymmaEnv):
    """Allies against the package's own enemies on one of its maps; rewards, observations and state are the package's.

    Actions: no-op, stop, four moves, then a target each. The dead have the no-op alone. Info: `battle_won`.
    """

    def __init__(self, map_name: str, time_limit: int) -> None:
        self.task_name({"map_name": map_name})
        with redirect_stdout(StringIO()):  # it says which of its two ports of RVO2 it takes, whenever one is made
            super().__init__(
                f"{PACKAGE}:{PACKAGE}/{map_name}-v0", "{}", time_limit, common_reward=True, reward_scalarisation="sum",
                state="auto", mask_in_obs=False, info_sums=None, remake="auto",
            )  # fmt: skip

    def _set_up(self, task: Task, *others: Any) -> None:
        make = task.make

        def quietly() -> Game:
            with redirect_stdout(StringIO()):
                return make()

        super()._set_up(replace(task, make=quietly), *others)
        self.info = replace(self.info, noop=NOOP)

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return `smaclite-` and the map, for its battles are not SMAC's."""
        if find_spec(PACKAGE) is None:
            raise ModuleNotFoundError(name=PACKAGE)  # the registry tells how to install it
        return safe_name(f"{PACKAGE}-{env_args['map_name']}")

    @classmethod
    def unknown_package(cls, env_args: Mapping[str, Any]) -> str | None:
        """Return None: the package is known."""
        return None

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the package that holds the rules."""
        return (PACKAGE,)
