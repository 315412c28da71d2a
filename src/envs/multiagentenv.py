"""The contract between an environment and the rest of the framework."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.errors import UserError


@dataclass(frozen=True)
class EnvInfo:
    """What the framework needs to know about an environment before the first episode.

    `episode_limit` counts environment steps. `obs_dtype` and `state_dtype` are the smallest dtypes that
    store an observation and a state without loss. With `has_winner`, the step info carries `battle_won`.
    """

    n_agents: int
    n_actions: int
    obs_size: int
    state_size: int
    episode_limit: int
    obs_dtype: np.dtype
    state_dtype: np.dtype
    has_winner: bool


class MultiAgentEnv(ABC):
    """A cooperative task of N agents with A discrete actions each and one team reward.

    Constructors take the settings under `env_args` as keyword arguments, set `info` and raise `UserError`
    for a bad setting. Arrays that a method returns belong to the environment, and the next `reset` or `step`
    may overwrite them: copy what you keep, write into none.
    """

    info: EnvInfo

    @classmethod
    @abstractmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the task's label, safe as a folder name; raise `UserError` for a bad task key."""

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Begin a new episode; the same seed (≥ 0) and the same actions give the same episode."""

    @abstractmethod
    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        """Take one joint action, integers of shape (N,).

        Returns the team reward; `terminated`: the task ended and nothing follows; `truncated`: only the time
        limit stopped it; and numbers of interest, which are logged from the last step of an episode.
        `terminated` and `truncated` are never both True.
        """

    @abstractmethod
    def get_obs(self) -> np.ndarray:
        """Return what each agent sees now: (N, obs_size), `info.obs_dtype`."""

    @abstractmethod
    def get_state(self) -> np.ndarray:
        """Return the global state for centralised training: (state_size,), `info.state_dtype`."""

    @abstractmethod
    def get_avail_actions(self) -> np.ndarray:
        """Return which actions may be taken now: (N, A) bool, at least one per agent."""

    @abstractmethod
    def close(self) -> None:
        """Free what the environment holds; calling it again does nothing."""

    def action_names(self) -> Sequence[str]:
        """Return a short name for each of the A actions, for pictures; their numbers where they have no names."""
        return [str(action) for action in range(self.info.n_actions)]

    def render(self) -> np.ndarray:
        """Return a picture of the environment as it is now, drawn without a screen: (height, width, 3) uint8.

        Optional. All pictures of an environment have one size, and looking changes nothing.
        """
        raise UserError(f"this environment cannot be drawn: {type(self).__name__} has no render()")
