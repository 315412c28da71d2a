"""Gymnasium's environments and PettingZoo's parallel ones as games of N agents: what the two kinds have in common.

What a task returns is checked where it comes in: `MisfitError`, one line, says what of which agent has a wrong form.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.gym_actions import one_line

Views = list[np.ndarray | None]  # what each agent sees, flattened; None for an agent that is gone
Rewards = float | list[float]  # the team's; or each agent's, 0 for one that is gone


class MisfitError(Exception):
    """A task returned what does not fit, see above."""


class Step(NamedTuple):
    """What a joint action led to."""

    views: Views
    rewards: Rewards
    terminated: bool
    truncated: bool


class Game(ABC):
    """One episode of a task of N agents; `names` are the agents'."""

    env: Any
    names: Sequence[str]
    action_spaces: Sequence[spaces.Space]
    obs_spaces: Sequence[spaces.Space]

    @abstractmethod
    def reset(self, seed: int) -> Views:
        """Begin the episode."""

    @abstractmethod
    def step(self, actions: Sequence[Any]) -> Step:
        """Take the joint action, one member of each agent's action space."""


class GymnasiumGame(Game):
    """An environment of Gymnasium: tuples of spaces, observations and rewards; or one agent, without tuples.

    A reward that is one number is the team's. Flags may be one for all, or one for each agent: the episode is over when
    each agent's is, and terminated unless one of them was truncated.
    """

    def __init__(self, make: Callable[[], gymnasium.Env]) -> None:
        self.env = make()
        self._alone = not isinstance(self.env.action_space, spaces.Tuple)
        self.action_spaces = self._each(self.env.action_space)
        self.obs_spaces = self._each(self.env.observation_space)
        self.names = [str(agent) for agent in range(len(self.action_spaces))]

    def _each(self, of_all: Any) -> Sequence[Any]:
        return [of_all] if self._alone else of_all

    def reset(self, seed: int) -> Views:
        """Reset the environment."""
        return self._flat(self.env.reset(seed=seed)[0])

    def step(self, actions: Sequence[Any]) -> Step:
        """Step the environment."""
        seen, rewards, ended, cut, _ = self.env.step(actions[0] if self._alone else tuple(actions))
        terminated = bool(np.all(ended))
        over = terminated or bool(np.all(np.logical_or(ended, cut)))
        return Step(self._flat(seen), self._rewards(rewards), terminated, over and not terminated)

    def _rewards(self, told: Any) -> Rewards:
        several = isinstance(told, list | tuple) or (isinstance(told, np.ndarray) and told.ndim > 0)
        if self._alone or not several:
            return _number(told, "the reward")
        if len(told) != len(self.names):
            raise MisfitError(
                f"the reward is {one_line(told)}: it must be one number, the team's, or one for each of the "
                f"{len(self.names)} agents"
            )
        return [_number(own, f"the reward of agent {agent}") for agent, own in zip(self.names, told, strict=True)]

    def _flat(self, seen: Any) -> Views:
        return [spaces.flatten(space, own) for space, own in zip(self.obs_spaces, self._each(seen), strict=True)]


class ParallelGame(Game):
    """A parallel environment of PettingZoo. Agents may leave before the others: then they see and do nothing."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.env = make()
        self.names = self.env.possible_agents
        self.action_spaces = [self.env.action_space(agent) for agent in self.names]
        self.obs_spaces = [self.env.observation_space(agent) for agent in self.names]

    def reset(self, seed: int) -> Views:
        """Reset the environment."""
        return self._flat(self.env.reset(seed=seed)[0], self.env.agents)

    def step(self, actions: Sequence[Any]) -> Step:
        """Step the environment."""
        chosen = dict(zip(self.names, actions, strict=True))
        acting = list(self.env.agents)
        seen, rewards, ended, cut, _ = self.env.step({agent: chosen[agent] for agent in acting})
        over = all(ended[agent] or cut[agent] for agent in acting)
        terminated = all(ended[agent] for agent in acting)
        views = self._flat(seen, acting if over else self.env.agents)  # the package empties `agents` at the end
        return Step(views, self._rewards(rewards, acting), terminated, over and not terminated)

    def _rewards(self, told: Any, acting: Sequence[str]) -> Rewards:
        if not isinstance(told, Mapping):
            if np.ndim(told) == 0:
                return _number(told, "the reward")
            raise MisfitError(f"the reward is {one_line(told)}: it must be a dict, with a number for each agent")
        missing = [agent for agent in acting if agent not in told]
        if missing:
            raise MisfitError(f"there is no reward for agent {missing[0]}: the rewards are {one_line(told)}")
        return [
            _number(told[agent], f"the reward of agent {agent}") if agent in acting else 0.0 for agent in self.names
        ]

    def _flat(self, seen: Mapping[str, Any], here: Sequence[str]) -> Views:
        each = zip(self.names, self.obs_spaces, strict=True)
        return [spaces.flatten(space, seen[agent]) if agent in here else None for agent, space in each]


def _number(thing: Any, what: str) -> float:
    """Return a real number, or an array that holds one alone, as a float."""
    if isinstance(thing, float):
        return float(thing)
    one = np.asarray(thing)
    if one.size != 1 or one.dtype.kind not in "biuf":
        raise MisfitError(f"{what} is {one_line(repr(thing))}: it must be a number")
    return float(one.item())
