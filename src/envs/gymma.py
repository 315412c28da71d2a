"""Tasks of other packages, and people's own: Gymnasium's with several agents (or one), and PettingZoo's.

`envs.gymma_keys` says what a key is, `envs.gymma_games` what a task returns, `envs.gymma_task` what is found out of it.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
from typing import Any, Self

import numpy as np

from envs.batch import EnvsInTurn
from envs.entities import Entities, laid_out
from envs.guarded import GuardedEnv
from envs.gymma_games import Game, Rewards, Shown
from envs.gymma_keys import SUITES, VMAS, find, parse_key
from envs.gymma_label import label, safe_name
from envs.gymma_task import Task, find_out, numbers_in_shown
from envs.multiagentenv import EnvInfo
from envs.task_code import one_line, running
from utils.errors import UserError

SPREAD = "pz-mpe-simple-spread-v3"


class GymmaEnv(GuardedEnv):
    """A task from another package, with actions of any kind in `envs.action_spaces`.

    With `remake=always` the environment is made anew for each episode, because some packages' reset depends on the
    episode before (LBF's does); `auto` finds out whether it must be where that takes long, see `envs.gymma_task`.
    Observations are flattened and end with zeros where others' are longer; the state is the environment's own
    (`state=auto`, where it has one) or all of them in a row. What an agent's action space lacks, or its mask forbids,
    is unavailable; an agent that is not there sees zeros and has its first action alone (of each part; of numbers
    none). The team's reward is the sum of the agents', or that divided by N, or what the task gives if that is one
    number; with `common_reward=False` agents have their own. `time_limit` takes the place of limits that environments
    count for themselves under a usual name: LBF and RWARE report those as the end of the task, which they are not.

    Info: the numbers in the last step's infos, each the mean over agents, `battle_won` where they say who has won, and
    the sums over steps of those that `info_sums` names.
    """

    def __init__(
        self,
        key: str,
        kwargs: str,
        time_limit: int,
        common_reward: bool,
        reward_scalarisation: str,
        state: str,
        mask_in_obs: bool,
        info_sums: str | None,
        remake: str,
    ) -> None:
        where = f"env_args.key={key}"
        make = find(key, time_limit, json.loads(kwargs))
        self._set_up(
            find_out(where, make, time_limit, state, mask_in_obs, remake),
            time_limit,
            common_reward,
            reward_scalarisation,
            [name.strip() for name in (info_sums or "").split(",") if name.strip()],
        )

    def _set_up(self, task: Task, time_limit: int, common_reward: bool, scalarisation: str, sums: list[str]) -> None:
        super().__init__()
        self._shared = (task, time_limit, common_reward, scalarisation, sums)
        self.where, self._task, self._common_reward, self._to_sum = task.where, task, common_reward, sums
        n_agents = len(task.names)
        known = ", ".join(task.figures) or "no numbers"
        missed = (name for name in sums if name not in task.figures)
        self._scale = 1.0 / n_agents if scalarisation == "mean" else 1.0
        self._game: Game | None = None
        self.info = EnvInfo(
            n_agents=n_agents,
            n_actions=task.team.existing.shape[1],
            obs_size=task.obs_shape[1],
            state_size=task.state_size,
            episode_limit=time_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=task.won is not None,
            state_of_obs=not task.has_state,
            action_space=task.team.space,
            n_rewards=1 if common_reward else n_agents,
            obs_images=task.images,
            entities=_entities(task.where, n_agents, task.obs_shape[1]),
            listed=tuple(name for name in (*task.figures, *(f"{name}_sum" for name in sums)) if name != "battle_won"),
            repeatable=task.repeatable,
            notes=(*task.notes, *(f"env_args.info_sums: infos have shown no {m}; they have {known}" for m in missed)),
        )

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> EnvsInTurn:
        """Return n of these environments; VMAS steps its copies together, see `envs.vmas_scenarios`."""
        first = cls(**env_args)
        if n == 1 or not env_args.get("key", "").startswith(VMAS):
            return cls._in_turn(first, n)
        from envs.vmas_batch import batch_of  # brings Torch

        def at(task: Task) -> Self:
            env = cls.__new__(cls)
            env._set_up(task, *first._shared[1:])
            return env

        scenario, kwargs = env_args["key"].removeprefix(VMAS), json.loads(env_args["kwargs"])
        return batch_of(first._task, scenario, kwargs, n, at) or cls._in_turn(first, n)

    @classmethod
    def _like(cls, other: Self) -> Self:
        env = cls.__new__(cls)
        env._set_up(*other._shared)
        return env

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return Gymnasium's Id, PettingZoo's module or a class, then the arguments, dashes for what names lack."""
        found = parse_key(env_args["key"])
        return safe_name(found.task or found.module or "") + label(env_args["kwargs"])

    @classmethod
    def unknown_package(cls, env_args: Mapping[str, Any]) -> str | None:
        """Return the package of the key if it is none of `SUITES`."""
        package = (parse_key(env_args["key"]).module or "gymnasium").partition(".")[0]
        return None if package in SUITES else package

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the task: the one named by the key, and Gymnasium where that registers it."""
        found = parse_key(env_args["key"])
        gymnasium_too = [] if found.task is None else ["gymnasium"]
        package = (found.module or "gymnasium").partition(".")[0]
        return sorted({*gymnasium_too, *packages_distributions().get(package, [package])})

    def _begin(self, seed: int) -> None:
        if self._task.remake:
            self.close()
        if self._game is None:
            self._game = self._task.make()
        self._sums = dict.fromkeys(self._to_sum, 0.0)
        self._see(self._game.reset(seed), over=False)

    def _go_on(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        shown, rewards, terminated, truncated = self._game.step(self._task.team.native(actions))
        truncated = not terminated and (truncated or self._steps >= self.info.episode_limit)
        self._see(shown, over=terminated or truncated)
        return self._reward(rewards), terminated, truncated, self._figures(shown, terminated or truncated)

    def _drop(self) -> None:
        game, self._game = self._game, None
        if game is not None:
            game.env.close()

    def _reward(self, rewards: Rewards) -> float | np.ndarray:
        if self._common_reward:
            return rewards if isinstance(rewards, float) else float(sum(rewards)) * self._scale
        if isinstance(rewards, float):
            raise UserError(
                f"env_args.common_reward=False: {self.where} gives one reward for the team; take common_reward=True"
            )
        return np.array(rewards)

    def _figures(self, shown: Shown, over: bool) -> dict[str, float]:
        """Return the numbers of the last step, and add to the sums; before the end nothing is asked for."""
        if not over and not self._sums:
            return {}
        told = numbers_in_shown(shown)
        for name in self._sums:
            self._sums[name] += told.get(name, 0.0)
        if not over:
            return {}
        told |= {f"{name}_sum": value for name, value in self._sums.items()}
        won = {} if self._task.won is None else {"battle_won": float(told.get(self._task.won, 0.0) == 1.0)}
        return {name: told[name] for name in self.info.listed if name in told} | won

    def _see(self, shown: Shown, over: bool) -> None:
        self._obs, self._available = self._task.views(self._game, shown, over)
        self._state = self._task.state(self._game) if self._task.has_state else self._obs.reshape(-1)

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) float32."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return the environment's own state, or all observations in a row: (state_size,) float32."""
        return self._state

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, W) bool."""
        return self._available

    def render(self) -> np.ndarray:
        """Return the package's picture, (height, width, 3) uint8; raise `UserError` where it makes none."""
        if getattr(self._game.env, "render_mode", None) != "rgb_array":
            raise UserError("this environment cannot be drawn: its package has no render mode rgb_array")
        try:
            return np.asarray(self._game.env.render())
        except Exception as why:  # anything: pyglet without a screen, a missing font, a missing library
            raise UserError(f"this environment cannot be drawn here: {type(why).__name__}: {one_line(why)}") from why

    def close(self) -> None:
        """Close the environment."""
        with running(f"{self.where}: close()"):
            self._drop()


def _entities(where: str, n_agents: int, obs_size: int) -> Entities | None:
    """Return how MPE's simple spread lays an observation out; of other tasks nothing is known."""
    if where != f"env_args.key={SPREAD}":
        return None
    blocks = [(None, 1, 4), ("landmark", n_agents, 2), ("ally", n_agents - 1, 2), ("ally", n_agents - 1, 2)]
    entities = laid_out(blocks)  # speed and place, places of the rest, and what the others say
    told = len(entities.own) + sum(len(each) for kind in entities.kinds for each in kind.features)
    return entities if told == obs_size else None
