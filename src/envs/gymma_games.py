"""Gymnasium's environments and PettingZoo's parallel ones as games of N agents: what the two kinds have in common.

What a task returns is checked where it comes in: `MisfitError`, one line, says what of which agent has a wrong form.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.gym_views import bare, infos_by_agent
from envs.task_code import MisfitError, one_line

Rewards = float | list[float]  # the team's; or each agent's, 0 for one that is gone


class Shown(NamedTuple):
    """What each of N agents is shown: its observation and info, both None for one that is gone."""

    seen: list[Any]
    infos: list[Mapping[str, Any] | None]


class Step(NamedTuple):
    """What a joint action led to."""

    shown: Shown
    rewards: Rewards
    terminated: bool
    truncated: bool


class Game(ABC):
    """A task of N agents, one episode after the other; `names` are the agents'."""

    env: Any
    names: Sequence[str]
    action_spaces: Sequence[spaces.Space]
    obs_spaces: Sequence[spaces.Space]

    @abstractmethod
    def reset(self, seed: int) -> Shown:
        """Begin an episode."""

    @abstractmethod
    def step(self, actions: Sequence[Any]) -> Step:
        """Take the joint action, one member of each agent's action space."""

    @cached_property
    def state(self) -> Callable[[], Any] | None:
        """The environment's own `state()`, or PyMARL's `get_state()`, if it has one."""
        methods = (getattr(env, name, None) for name in ("state", "get_state") for env in (self.env, bare(self.env)))
        return next((method for method in methods if callable(method)), None)


class GymnasiumGame(Game):
    """An environment of Gymnasium: tuples of spaces, observations and rewards; or one agent, without tuples.

    A reward that is one number is the team's. Flags may be one for all, or one for each agent: the episode is over when
    each agent's is, and terminated unless one of them was truncated.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.env = env
        self._alone = not isinstance(env.action_space, spaces.Tuple)
        self.action_spaces = self._each(env.action_space, "action_space")
        self.names = [str(agent) for agent in range(len(self.action_spaces))]
        self.obs_spaces = self._each(env.observation_space, "observation_space")

    def _each(self, of_all: Any, what: str) -> Sequence[Any]:
        if self._alone:
            return [of_all]
        several = isinstance(of_all, spaces.Tuple | list | tuple | np.ndarray)
        if not several or (what != "action_space" and len(of_all) != len(self.names)):
            raise MisfitError(f"{what} is {one_line(of_all)}: it must have a part for each of the agents")
        return of_all

    def reset(self, seed: int) -> Shown:
        """Reset the environment."""
        told = self.env.reset(seed=seed)
        if not isinstance(told, tuple) or len(told) != 2:
            raise MisfitError("reset() must return observation and info, Gymnasium's two values")
        return self._shown(*told)

    def step(self, actions: Sequence[Any]) -> Step:
        """Step the environment."""
        told = self.env.step(actions[0] if self._alone else tuple(actions))
        if not isinstance(told, tuple) or len(told) != 5:
            raise MisfitError("step() must return observation, reward, terminated, truncated and info: five values")
        seen, rewards, ended, cut, info = told
        terminated = bool(np.all(ended))
        over = terminated or bool(np.all(np.logical_or(ended, cut)))
        return Step(self._shown(seen, info), self._rewards(rewards), terminated, over and not terminated)

    def _shown(self, seen: Any, info: Any) -> Shown:
        return Shown(list(self._each(seen, "the observation")), infos_by_agent(info, self.names, self._alone))

    def _rewards(self, told: Any) -> Rewards:
        several = isinstance(told, list | tuple) or (isinstance(told, np.ndarray) and told.ndim > 0)
        if self._alone or not several:
            return _number(told, "the reward")
        if len(told) != len(self.names):
            raise MisfitError(
                f"the reward is {one_line(told)}: it must be one number, the team's, or one for each of the "
                f"{len(self.names)} agents"
            )
        return [_number(own, "the reward of agent ", agent) for agent, own in zip(self.names, told, strict=True)]


class ParallelGame(Game):
    """A parallel environment of PettingZoo. Agents may come later, leave before the others, and come back.

    Who is not there sees and does nothing.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.names = list(env.possible_agents)
        self.action_spaces = [env.action_space(agent) for agent in self.names]
        self.obs_spaces = [env.observation_space(agent) for agent in self.names]

    def reset(self, seed: int) -> Shown:
        """Reset the environment."""
        told = self.env.reset(seed=seed)
        if not isinstance(told, tuple) or len(told) != 2:
            raise MisfitError("reset() must return observations and infos, PettingZoo's two values")
        return self._shown(*told, self._here())

    def step(self, actions: Sequence[Any]) -> Step:
        """Step the environment."""
        chosen = dict(zip(self.names, actions, strict=True))
        acting = list(self.env.agents)
        told = self.env.step(chosen if acting == self.names else {agent: chosen[agent] for agent in acting})
        if not isinstance(told, tuple) or len(told) != 5:
            raise MisfitError("step() must return observations, rewards, terminations, truncations and infos")
        seen, rewards, ended, cut, infos = told
        ends, cuts = _each(ended, acting, "termination"), _each(cut, acting, "truncation")
        over = all(end or cut for end, cut in zip(ends, cuts, strict=True))
        here = self._here()
        finished = over and not set(here) - set(acting)
        terminated = finished and all(ends)
        shown = self._shown(seen, infos, acting if finished else here)  # the package empties `agents` at the end
        return Step(shown, self._rewards(rewards, acting), terminated, finished and not terminated)

    def _here(self) -> list[str]:
        here = list(self.env.agents)
        if here != self.names and (strangers := [agent for agent in here if agent not in self.names]):
            raise MisfitError(f"agent {strangers[0]} is there, which is none of possible_agents")
        return here

    def _shown(self, seen: Any, infos: Any, here: Sequence[str]) -> Shown:
        own = infos if isinstance(infos, Mapping) else {}
        if here == self.names:
            return Shown(_each(seen, here, "observation"), [own.get(agent) for agent in here])
        views = dict(zip(here, _each(seen, here, "observation"), strict=True))
        return Shown(
            [views.get(agent) for agent in self.names],
            [own.get(agent) if agent in views else None for agent in self.names],
        )

    def _rewards(self, told: Any, acting: Sequence[str]) -> Rewards:
        if not isinstance(told, Mapping):
            if np.ndim(told) == 0:
                return _number(told, "the reward")
            raise MisfitError(f"the reward is {one_line(told)}: it must be a dict, with a number for each agent")
        each = _each(told, acting, "reward")
        own = {
            agent: _number(reward, "the reward of agent ", agent) for agent, reward in zip(acting, each, strict=True)
        }
        return each if acting == self.names else [own.get(agent, 0.0) for agent in self.names]


def _each(told: Any, agents: Sequence[str], what: str) -> list[Any]:
    """Return what a dict by agent says of each of them."""
    try:
        return [told[agent] for agent in agents]
    except (KeyError, TypeError, IndexError):
        agent = next(agent for agent in agents if not isinstance(told, Mapping) or agent not in told)
        raise MisfitError(f"there is no {what} for agent {agent}: the {what}s are {one_line(told)}") from None


def _number(thing: Any, what: str, agent: str = "") -> float:
    """Return a real number, or an array that holds one alone, as a float."""
    if isinstance(thing, float):
        return float(thing)
    one = np.asarray(thing)
    if one.size != 1 or one.dtype.kind not in "biuf":
        raise MisfitError(f"{what}{agent} is {one_line(repr(thing))}: it must be a number")
    return float(one.item())
