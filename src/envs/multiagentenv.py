"""The contract between an environment and the rest of the framework.

Letters: N agents, A actions, W the width of `avail_actions`; `tests/test_envs.py` holds every registered environment to
what is written here. `envs.action_spaces` says what an action is, and what W is, in each kind of action space.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.action_spaces import ActionSpace, Discrete
from envs.entities import Entities
from utils.errors import UserError


class ObsImage(NamedTuple):
    """Where a picture lies in an observation: height * width * channels numbers from `start` on.

    They are laid flat with channels innermost, or with `channels_first` outermost.
    """

    start: int
    height: int
    width: int
    channels: int
    channels_first: bool = False

    @property
    def stop(self) -> int:
        """Where the next numbers begin."""
        return self.start + self.height * self.width * self.channels


@dataclass(frozen=True)
class EnvInfo:
    """What the framework needs to know about an environment before the first episode.

    `episode_limit` counts environment steps. `obs_dtype` and `state_dtype` are the smallest dtypes that
    store an observation and a state without loss. With `has_winner`, the step info carries `battle_won`.

    `action_space` is what each agent acts in, and `n_actions` is W: A for discrete actions. `n_rewards` is 1 for a
    team's reward, N for a reward per agent. `listed` names the numbers in an episode's last info that the archive's
    lists of episodes have columns for, and `notes` is what was found out of the task, one line each.
    `noop` is the number of the action that is all a dead agent may take: an agent is dead exactly when that action
    alone is available to it, and stays dead until the episode ends. None where agents do not die.
    `obs_images` are the pictures in every agent's observation, in order; the other numbers lie between them.
    `entities` says which numbers of an observation belong to what is seen, or None where nothing is known of that.
    `state_of_obs` says that the state is all observations in a row, in the same dtype: it is kept once.
    `repeatable` says that the same seed and the same actions give the same episode; False for engines that cannot.
    """

    n_agents: int
    n_actions: int
    obs_size: int
    state_size: int
    episode_limit: int
    obs_dtype: np.dtype
    state_dtype: np.dtype
    has_winner: bool
    noop: int | None = None
    repeatable: bool = True
    action_space: ActionSpace = field(default_factory=Discrete)
    n_rewards: int = 1
    obs_images: tuple[ObsImage, ...] = ()
    entities: Entities | None = None
    state_of_obs: bool = False
    listed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


class View(NamedTuple):
    """What an environment shows before an action: obs (N, obs_size), state (state_size,), avail_actions (N, W) bool."""

    obs: np.ndarray
    state: np.ndarray
    avail_actions: np.ndarray


class Outcome(NamedTuple):
    """What a joint action led to (see `MultiAgentEnv.step`), and the view after it."""

    reward: float | np.ndarray
    terminated: bool
    truncated: bool
    info: dict[str, float]
    view: View


class EpisodeLostError(Exception):
    """The game behind an episode is gone (it crashed, say), and the episode with it; the text says why, in one line.

    `reset` and `step` may raise it once the environment is whole again: the next call is `reset`. Runners throw the
    unfinished episode away and play it again from its beginning.
    """


class EnvBatch(ABC):
    """Environments of one task in slots 0, 1, …; each plays an episode of its own.

    A slot that has lost its game answers with an `EpisodeLostError` instead of raising it, so that the other slots'
    answers arrive. Its next call is `reset`.
    """

    info: EnvInfo

    @abstractmethod
    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        """Begin an episode in each of some slots; the others go on undisturbed."""

    @abstractmethod
    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        """Take the joint actions (slots, …), see `MultiAgentEnv.step`, in some slots, and answer in their order."""

    def get_stats(self) -> dict[str, float]:
        """Return the sums of `MultiAgentEnv.get_stats`."""
        return {}

    def save_replays(self, folder: Path) -> None:
        """Write every slot's replay, see `MultiAgentEnv.save_replay`, into a folder of its own under `folder`."""
        raise UserError(f"this environment keeps no replays: {type(self).__name__} has no save_replays()")

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Free what the environments hold; calling it again does nothing."""


class MultiAgentEnv(ABC):
    """A task of N agents that all act at once, for one team reward or for rewards of their own.

    Constructors take the settings under `env_args` as keyword arguments, set `info` and raise `UserError`
    for a bad setting. Arrays that a method returns belong to the environment, and the next `reset` or `step`
    may overwrite them: copy what you keep, write into none.
    """

    info: EnvInfo

    @classmethod
    @abstractmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the task's label, safe as a folder name, without starting anything; `UserError` for a bad task."""

    @classmethod
    def unknown_package(cls, env_args: Mapping[str, Any]) -> str | None:
        """Return a package that the settings name, that would be imported, and that is not known for environments."""
        return None

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages, by pip's names, that decide what the task is; the archive gives their versions."""
        return ()

    @classmethod
    def games(cls, env_args: Mapping[str, Any]) -> dict[str, str]:
        """Return the versions of what else decides it, by name: a game that no package brings; for the archive."""
        return {}

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> EnvBatch | None:
        """Return n of these environments to be stepped together, if the suite has batches of its own; None: in turn.

        An episode is the same, bit for bit, whatever the batch's size and the slot that it is played in.
        """
        return None

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Begin a new episode, also in the middle of another; it depends on `seed` (≥ 0) alone, see `repeatable`."""

    @abstractmethod
    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action: integers (N,) or (N, P), each available to its agent, or float32 (N, C).

        Returns the team reward, or with `info.n_rewards` of N the agents' own, (N,) float64; `terminated`: the task
        ended and nothing follows; `truncated`: only the time limit stopped it; and numbers of interest, which are
        logged from the last step of an episode. `terminated` and `truncated` are never both True. After either, views
        can still be asked for, and only `reset` goes on.
        """

    @abstractmethod
    def get_obs(self) -> np.ndarray:
        """Return what each agent sees now: (N, obs_size), `info.obs_dtype`, finite."""

    @abstractmethod
    def get_state(self) -> np.ndarray:
        """Return the global state for centralised training: (state_size,), `info.state_dtype`, finite."""

    @abstractmethod
    def get_avail_actions(self) -> np.ndarray:
        """Return which actions may be taken now: (N, W) bool, at least one per agent (and part); `info.noop` if dead.

        For continuous actions: which numbers an agent has; none for an agent that is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Free what the environment holds, its processes too; calling it again does nothing."""

    def get_stats(self) -> dict[str, float]:
        """Return numbers of the environment's whole life, such as games restarted; batches add them up."""
        return {}

    def action_names(self) -> Sequence[str]:
        """Return a short name for each column of `avail_actions`, for pictures; numbers where there are no names."""
        space = self.info.action_space
        if space.kind != "multidiscrete":
            return [str(action) for action in range(self.info.n_actions)]
        return [f"{part}.{choice}" for part, size in enumerate(space.sizes) for choice in range(size)]

    def render(self) -> np.ndarray:
        """Return a picture of the environment as it is now, drawn without a screen: (height, width, 3) uint8.

        Optional. All pictures of an environment have one size, and looking changes nothing.
        """
        raise UserError(f"this environment cannot be drawn: {type(self).__name__} has no render()")

    def render_observation(self, obs: np.ndarray) -> np.ndarray:
        """Return a picture of what agents see, ``obs (N, obs_size)`` float. Optional.

        A world model imagines what never was: numbers may be any.
        """
        raise UserError(f"observations cannot be drawn here: {type(self).__name__} has no render_observation()")

    def save_replay(self, folder: Path) -> None:
        """Write the running episode or the last one, or all since the game began, in its own format. Optional.

        `folder` need not exist. An environment that has played nothing writes nothing.
        """
        raise UserError(f"this environment keeps no replays: {type(self).__name__} has no save_replay()")


class ViewedEnv(MultiAgentEnv):
    """An environment whose `reset` and `step` keep what it shows as `view`: computed once, however often asked for."""

    view: View

    def get_obs(self) -> np.ndarray:
        """Return the observations kept."""
        return self.view.obs

    def get_state(self) -> np.ndarray:
        """Return the state kept."""
        return self.view.state

    def get_avail_actions(self) -> np.ndarray:
        """Return the availability kept."""
        return self.view.avail_actions
