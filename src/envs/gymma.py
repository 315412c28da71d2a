"""Tasks of other packages by key: Gymnasium's with several agents (or one), and PettingZoo's parallel environments.

A key is `package:Id` (the package is imported, then Gymnasium makes Id), an Id that Gymnasium knows by itself,
EPyMARL's `pz-family-some-name-v3`, or the module that this stands for (`mpe2.some_name_v3` where the family is mpe,
else `pettingzoo.family.some_name_v3`), or any other module with a `parallel_env()`.
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.metadata import packages_distributions
from inspect import signature
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.multiagentenv import EnvInfo, MultiAgentEnv
from utils.errors import UserError, nearest

FORM = "[package:]Id, pz-family-name-vN or package.module, as rware:rware-tiny-2ag-v2 or pz-mpe-simple-spread-v3"
_OWN_LIMITS = ("max_cycles", "max_episode_steps", "max_steps")  # what environments call time limits of their own

# Packages of environments that an archive's key may have imported. Add your own: what you archive, you can then resume.
SUITES = ("gymnasium", "lbforaging", "matrixgames", "minigrid", "mpe2", "pettingzoo", "rware", "smaclite", "vmas")

Views = list[np.ndarray | None]  # what each agent sees, flattened; None for an agent that is gone


class Key(NamedTuple):
    """Where a task is found: `module` is imported (None: nothing); `task` is Gymnasium's Id, None for PettingZoo."""

    module: str | None
    task: str | None


def parse_key(key: str) -> Key:
    """Return what a key names; raise `UserError` for one of another form."""
    if match := re.fullmatch(r"pz-([a-z0-9]+)-([a-z0-9-]+-v[0-9]+)", key):
        family, name = match[1], match[2].replace("-", "_")
        return Key(f"mpe2.{name}" if family == "mpe" else f"pettingzoo.{family}.{name}", None)
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", key, re.ASCII):
        return Key(key, None)
    if match := re.fullmatch(r"(?:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):)?(\w[\w./-]*)", key, re.ASCII):
        return Key(match[1], match[2])
    raise UserError(f"env_args.key={key}: must be of the form {FORM}")


class _Game(ABC):
    """One episode of a task of N agents: what the two kinds of environment have in common."""

    env: Any
    action_spaces: Sequence[spaces.Space]
    obs_spaces: Sequence[spaces.Space]

    @abstractmethod
    def reset(self, seed: int) -> Views:
        """Begin the episode."""

    @abstractmethod
    def step(self, actions: Sequence[int]) -> tuple[Views, list[float], bool, bool]:
        """Take the joint action; return what is seen, the rewards of those who acted, terminated, truncated."""


class _GymnasiumGame(_Game):
    """An environment of Gymnasium: tuples of spaces, observations and rewards; or one agent, without tuples."""

    def __init__(self, make: Callable[[], gymnasium.Env]) -> None:
        self.env = make()
        self._alone = not isinstance(self.env.action_space, spaces.Tuple)
        self.action_spaces = self._each(self.env.action_space)
        self.obs_spaces = self._each(self.env.observation_space)

    def _each(self, of_all: Any) -> Sequence[Any]:
        return [of_all] if self._alone else of_all

    def reset(self, seed: int) -> Views:
        return self._flat(self.env.reset(seed=seed)[0])

    def step(self, actions: Sequence[int]) -> tuple[Views, list[float], bool, bool]:
        seen, rewards, ended, cut, _ = self.env.step(actions[0] if self._alone else tuple(actions))
        terminated = bool(np.all(ended))  # a flag, or one for each agent
        return self._flat(seen), list(self._each(rewards)), terminated, bool(np.all(cut)) and not terminated

    def _flat(self, seen: Any) -> Views:
        return [spaces.flatten(space, own) for space, own in zip(self.obs_spaces, self._each(seen), strict=True)]


class _ParallelGame(_Game):
    """A parallel environment of PettingZoo. Agents may leave before the others: then they see and do nothing."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.env = make()
        self._agents = self.env.possible_agents
        self.action_spaces = [self.env.action_space(agent) for agent in self._agents]
        self.obs_spaces = [self.env.observation_space(agent) for agent in self._agents]

    def reset(self, seed: int) -> Views:
        return self._flat(self.env.reset(seed=seed)[0], self.env.agents)

    def step(self, actions: Sequence[int]) -> tuple[Views, list[float], bool, bool]:
        chosen = dict(zip(self._agents, actions, strict=True))
        acting = list(self.env.agents)
        seen, rewards, ended, cut, _ = self.env.step({agent: chosen[agent] for agent in acting})
        over = all(ended[agent] or cut[agent] for agent in acting)
        terminated = all(ended[agent] for agent in acting)
        views = self._flat(seen, acting if over else self.env.agents)  # the package empties `agents` at the end
        return views, [rewards[agent] for agent in acting], terminated, over and not terminated

    def _flat(self, seen: Mapping[str, Any], here: Sequence[str]) -> Views:
        each = zip(self._agents, self.obs_spaces, strict=True)
        return [spaces.flatten(space, seen[agent]) if agent in here else None for agent, space in each]


class GymmaEnv(MultiAgentEnv):
    """A task with discrete actions from another package.

    The environment is made anew for each episode, because some packages' reset depends on the episode before (LBF's
    does). Observations are flattened and end with zeros where others' are longer; the state is all of them in a row.
    Surplus actions are unavailable; an agent that has left sees zeros and has action 0 alone. The team's reward is the
    sum of the agents', or that divided by N. `time_limit` takes the place of limits that environments count for
    themselves under a usual name: LBF and RWARE report those as the end of the task, which they are not.
    """

    def __init__(self, key: str, time_limit: int, common_reward: bool, reward_scalarisation: str) -> None:
        if not common_reward:
            raise UserError("env_args.common_reward=False: every algorithm here learns from one team reward; take True")
        self._make = _find(key, time_limit)
        self._game = self._make()
        _check_spaces(key, self._game)
        self._first = np.array([space.start for space in self._game.action_spaces])
        n_actions = np.array([space.n for space in self._game.action_spaces])
        obs_size = max(spaces.flatdim(space) for space in self._game.obs_spaces)
        self._existing = np.arange(n_actions.max()) < n_actions[:, None]
        self._scale = 1.0 / len(n_actions) if reward_scalarisation == "mean" else 1.0
        self._steps, self._drawn = 0, False
        self.info = EnvInfo(
            n_agents=len(n_actions),
            n_actions=int(n_actions.max()),
            obs_size=obs_size,
            state_size=len(n_actions) * obs_size,
            episode_limit=time_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
        )

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return Gymnasium's Id or PettingZoo's module, with dashes for what folder names lack."""
        found = parse_key(env_args["key"])
        return re.sub(r"[^A-Za-z0-9_]+", "-", found.task or found.module or "")

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

    def reset(self, seed: int) -> None:
        """Make the environment anew and begin an episode drawn from `seed`."""
        if self._drawn:
            self._game.env.close()  # its window; the rest goes with the object
        self._game, self._steps, self._drawn = self._make(), 0, False
        self._see(self._game.reset(int(seed)))

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        """Take one joint action, (N,) integers."""
        views, rewards, terminated, truncated = self._game.step((actions + self._first).tolist())
        self._see(views)
        self._steps += 1
        truncated = not terminated and (truncated or self._steps >= self.info.episode_limit)
        return float(sum(rewards)) * self._scale, terminated, truncated, {}

    def _see(self, views: Views) -> None:
        self._obs = np.zeros((self.info.n_agents, self.info.obs_size), dtype=np.float32)
        self._available = self._existing.copy()
        for agent, view in enumerate(views):
            if view is None:
                self._available[agent] = np.arange(self.info.n_actions) == 0
            else:
                self._obs[agent, : len(view)] = view

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) float32."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return all observations in a row: (N * obs_size,) float32."""
        return self._obs.reshape(-1)

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, A) bool."""
        return self._available

    def render(self) -> np.ndarray:
        """Return the package's picture, (height, width, 3) uint8; raise `UserError` where it makes none."""
        if self._game.env.render_mode != "rgb_array":
            raise UserError("this environment cannot be drawn: its package has no render mode rgb_array")
        self._drawn = True
        try:
            return np.asarray(self._game.env.render())
        except Exception as why:  # anything: pyglet without a screen, a missing font, a missing library
            raise UserError(f"this environment cannot be drawn here: {type(why).__name__}: {_one_line(why)}") from why

    def close(self) -> None:
        """Close the environment."""
        self._game.env.close()


def _find(key: str, time_limit: int) -> Callable[[], _Game]:
    """Return what makes the environment of a key, once per episode; raise `UserError` if there is none."""
    found = parse_key(key)
    try:
        module = import_module(found.module) if found.module else None
        game, make = _parallel(key, module, time_limit) if found.task is None else _registered(key, found, time_limit)
        first = make()
    except ModuleNotFoundError as missing:
        raise UserError(_not_found(key, found, missing.name or "")) from missing
    except gymnasium.error.Error as why:
        raise UserError(f"env_args.key={key}: {_one_line(why)}") from why
    modes = first.metadata.get("render_modes", ())
    first.close()
    return partial(game, partial(make, render_mode="rgb_array") if "rgb_array" in modes else make)


def _parallel(key: str, module: ModuleType | None, time_limit: int) -> tuple[type[_Game], Callable[..., Any]]:
    if not hasattr(module, "parallel_env"):
        raise UserError(f"env_args.key={key}: this module has no parallel_env() as PettingZoo's environments have")
    known = signature(getattr(module, "raw_env", module.parallel_env)).parameters
    return _ParallelGame, partial(module.parallel_env, **{name: time_limit for name in _OWN_LIMITS if name in known})


def _registered(key: str, found: Key, time_limit: int) -> tuple[type[_Game], Callable[..., Any]]:
    try:
        spec = copy.deepcopy(gymnasium.spec(found.task))
    except gymnasium.error.Error as why:
        close = get_close_matches(found.task, gymnasium.registry, cutoff=0.5)
        advice = f"did you mean {' or '.join(close)}?" if close else "is a package: missing before it?"
        raise UserError(f"env_args.key={key}: Gymnasium knows no {found.task}; {advice}") from why
    spec.max_episode_steps, spec.order_enforce, spec.disable_env_checker = None, False, True
    # One step later than ours, so that ours, which is known to be a time limit, ends the episode.
    spec.kwargs |= {name: time_limit + 1 for name in _OWN_LIMITS if name in spec.kwargs}
    return _GymnasiumGame, partial(gymnasium.make, spec)


def _not_found(key: str, found: Key, missing: str) -> str:
    package, _, name = missing.rpartition(".")
    if package and f"{found.module}.".startswith(f"{missing}."):
        known = sorted(module.name for module in iter_modules(import_module(package).__path__))
        known = [module for module in known if re.search(r"_v[0-9]+$", module)] or known
        return f"env_args.key={key}: there is no module {missing}; did you mean {nearest(name, known)}?"
    return (
        f"env_args.key={key} needs the Python package {missing.partition('.')[0]}, which is not installed: rware, mpe2 "
        "and pettingzoo come with `pip install -r requirements-gymma.txt`"
    )


def _check_spaces(key: str, game: _Game) -> None:
    for agent, space in enumerate(game.action_spaces):
        if not isinstance(space, spaces.Discrete):
            raise UserError(f"env_args.key={key}: agent {agent} acts in {_one_line(space)}; it must be Discrete")
    for agent, space in enumerate(game.obs_spaces):
        if not space.is_np_flattenable:
            raise UserError(f"env_args.key={key}: agent {agent} sees {_one_line(space)}, no vector of one length")


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split())[:200]
