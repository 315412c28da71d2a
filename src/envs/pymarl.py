"""Classes that were written for PyMARL, PyMARL2 or EPyMARL, unchanged: their contract, and no base class asked for.

`get_env_info`, `get_obs`, `get_state`, `get_avail_actions`; `reset()`, or `reset(seed=…)`, or `seed(…)` before it;
`step(actions)` with three values (reward, terminated, info, where `info["episode_limit"]` says that the time limit
ended the episode) or five (obs, reward, terminated, truncated, info). Arrays or lists; masks of flags or of integers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Self

import numpy as np

from envs.action_spaces import Discrete, random_actions
from envs.guarded import GuardedEnv
from envs.multiagentenv import EnvInfo
from envs.named_class import NamedClassEnv, class_named
from envs.task_code import MisfitError, check_arguments, known_arguments, one_line, running
from utils.errors import UserError

METHODS = ("get_env_info", "get_obs", "get_state", "get_avail_actions", "reset", "step")
SIZES = ("n_agents", "n_actions", "obs_shape", "state_shape", "episode_limit")
TRIAL_SEEDS, TRIAL_STEPS = (101, 102), 200


@dataclass(frozen=True)
class Contract:
    """What was found out of a class: how a seed reaches it, and the numbers that its infos tell."""

    seeded_by: str  # reset, seed, constructor or nothing
    figures: tuple[str, ...] = ()
    repeatable: bool = False


class PyMARLEnv(NamedClassEnv, GuardedEnv):
    """A class with PyMARL's contract. One object plays all episodes; where only its constructor takes a seed, each has
    its own.

    The reward is the team's, or with `common_reward=False` a list of the agents' own. A trial episode at the start
    finds out which numbers the infos tell and whether a seed repeats an episode: where it does not, the run says so.
    """

    def __init__(self, env: str, kwargs: str, common_reward: bool) -> None:
        super().__init__()
        self.where, self._common_reward = f"env_args.env={env}", common_reward
        self._class, self._kwargs = class_named(env), json.loads(kwargs)
        check_arguments(self._class, self._kwargs, self.where, given={})
        self._task: Any = None
        self._contract = Contract("constructor" if "seed" in known_arguments(self._class) else "nothing")
        with running(f"{self.where}: making it"):
            self._task = self._class(**self._kwargs)
        self._contract = Contract(_seeded_by(self._task, self._contract.seeded_by))
        sizes = self._sizes()
        n_agents, n_actions = sizes["n_agents"], sizes["n_actions"]
        self.info = EnvInfo(
            n_agents=n_agents,
            n_actions=n_actions,
            obs_size=sizes["obs_shape"],
            state_size=sizes["state_shape"],
            episode_limit=sizes["episode_limit"],
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
            n_rewards=1 if common_reward else n_agents,
        )
        self._try_out()

    def _sizes(self) -> dict[str, int]:
        missing = [name for name in METHODS if not callable(getattr(self._task, name, None))]
        if missing:
            raise UserError(
                f"{self.where}: {type(self._task).__name__} has no {missing[0]}(), as PyMARL's classes have"
            )
        with running(f"{self.where}: get_env_info()"):
            told = self._task.get_env_info()
        lacking = [name for name in SIZES if name not in told]
        if lacking:
            raise UserError(f"{self.where}: get_env_info() does not give {lacking[0]}; it gives {', '.join(told)}")
        return {name: int(np.prod(told[name])) for name in SIZES}

    def _try_out(self) -> None:
        """Play a trial, and once more after another one; set `info` and `_contract` to what was found."""
        try:
            first, _, again = ([*self._trial(seed)] for seed in (*TRIAL_SEEDS, TRIAL_SEEDS[0]))
        except MisfitError as why:
            raise UserError(f"{self.where}: {why}, in the episode of seed {TRIAL_SEEDS[0]}") from why
        repeatable = self._contract.seeded_by != "nothing" and [view for view, _ in first] == [
            view for view, _ in again
        ]
        figures = sorted({name for _, told in (*first, *again) for name in told})
        self._contract = Contract(self._contract.seeded_by, tuple(figures), repeatable)
        why = "it takes no seed" if self._contract.seeded_by == "nothing" else "a seed does not repeat them"
        note = f"{self.where}: its episodes cannot be repeated: {why}"
        self.info = replace(
            self.info,
            has_winner="battle_won" in figures,
            listed=tuple(name for name in figures if name != "battle_won"),
            repeatable=repeatable,
            notes=() if repeatable else (note,),
        )

    @classmethod
    def _like(cls, other: Self) -> Self:
        env = cls.__new__(cls)
        vars(env).update(vars(other) | {"_task": None})
        return env

    def _trial(self, seed: int) -> list[tuple[bytes, dict[str, float]]]:
        rng, told, over = np.random.default_rng(seed), [], False
        with running(f"{self.where}: reset() for seed {seed}"):
            self._begin(seed)
        self._steps, result = 0, None
        while True:
            view = b"".join(array.tobytes() for array in (self._obs, self._state, self._available))
            told.append((view + repr(result).encode(), result[-1] if result else {}))
            if over or self._steps == TRIAL_STEPS:
                return told
            actions = random_actions(Discrete(), self._available, rng)
            self._steps += 1
            with running(
                f"{self.where}: step {self._steps} of the episode of seed {seed}, actions {one_line(actions)}"
            ):
                result = self._go_on(actions)
            over = result[1] or result[2]

    def _begin(self, seed: int) -> None:
        how = self._contract.seeded_by
        if self._task is None or how == "constructor":
            self.close()
            self._task = self._class(**(self._kwargs | ({"seed": seed} if how == "constructor" else {})))
        if how == "seed":
            self._task.seed(seed)
        if how == "reset":
            self._task.reset(seed=seed)
        else:
            self._task.reset()
        self._look()

    def _go_on(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        told = self._task.step(actions.tolist())
        if not isinstance(told, tuple | list) or len(told) not in (3, 5):
            raise MisfitError(
                "step() must return reward, terminated and info, or obs, reward, terminated, truncated and info"
            )
        *_, reward, terminated, info = told if len(told) == 3 else (told[1], told[2], told[4])
        info = info if isinstance(info, Mapping) else {}
        cut = bool(np.all(told[3])) if len(told) == 5 else bool(info.get("episode_limit", False))
        over = bool(np.all(terminated)) or cut or self._steps >= self.info.episode_limit
        terminated = bool(np.all(terminated)) and not cut
        self._look()
        return self._reward(reward), terminated, over and not terminated, self._figures(info) if over else {}

    def _reward(self, told: Any) -> float | np.ndarray:
        rewards = np.asarray(told)
        if rewards.dtype.kind not in "biuf" or rewards.size not in (1, self.info.n_agents):
            raise MisfitError(f"the reward is {one_line(repr(told))}: it must be a number, or one for each agent")
        if self._common_reward:
            return float(rewards.sum())
        if rewards.size != self.info.n_agents:
            raise MisfitError("env_args.common_reward=False, and the reward is one number: take common_reward=True")
        return rewards.astype(np.float64).reshape(-1)

    @staticmethod
    def _figures(info: Mapping[str, Any]) -> dict[str, float]:
        known = {str(name): value for name, value in info.items() if name != "episode_limit"}
        numbers = (bool, int, float, np.bool_, np.number)
        return {name: float(v) for name, v in known.items() if isinstance(v, numbers) and np.isfinite(v)}

    def _look(self) -> None:
        info, task = self.info, self._task
        self._obs = _array(task.get_obs(), (info.n_agents, info.obs_size), np.float32, "get_obs()")
        self._state = _array(task.get_state(), (info.state_size,), np.float32, "get_state()")
        self._available = _array(task.get_avail_actions(), (info.n_agents, info.n_actions), bool, "get_avail_actions()")
        none = np.flatnonzero(~self._available.any(axis=1))
        if len(none):
            raise MisfitError(f"get_avail_actions() leaves agent {none[0]} no action")

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) float32."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return (state_size,) float32."""
        return self._state

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, A) bool."""
        return self._available

    def get_stats(self) -> dict[str, float]:
        """Return the numbers of the class's own `get_stats`, where it has one."""
        stats = self._task.get_stats() if callable(getattr(self._task, "get_stats", None)) else None
        return self._figures(stats) if isinstance(stats, Mapping) else {}

    def save_replay(self, folder: Path) -> None:
        """Call the class's own `save_replay`, which writes where it likes; `UserError` where it has none."""
        if not callable(getattr(self._task, "save_replay", None)):
            super().save_replay(folder)
        self._task.save_replay()

    def _drop(self) -> None:
        task, self._task = self._task, None
        if callable(getattr(task, "close", None)):
            task.close()

    def close(self) -> None:
        """Close the class's object, where it can be."""
        with running(f"{self.where}: close()"):
            self._drop()


def _seeded_by(task: Any, otherwise: str) -> str:
    """Say how a seed reaches an object: by `reset(seed=…)`, by `seed(…)`, or as its class's constructor says."""
    try:
        if "seed" in signature(task.reset).parameters:
            return "reset"
    except (AttributeError, TypeError, ValueError):
        pass
    method = getattr(task, "seed", None)
    if callable(method):
        try:
            needed = [p for p in signature(method).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        except (TypeError, ValueError):
            needed = []
        if needed:
            return "seed"
    return otherwise


def _array(told: Any, shape: tuple[int, ...], dtype: type, what: str) -> np.ndarray:
    try:
        array = np.asarray(told, dtype=dtype)
    except (TypeError, ValueError) as why:
        raise MisfitError(f"{what} returned no numbers of one shape: {one_line(why)}") from why
    if array.size != np.prod(shape):
        raise MisfitError(f"{what} has the shape {array.shape}, and get_env_info() says {shape}")
    return array.reshape(shape)
