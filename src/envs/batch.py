"""Single environments stepped together, one after the other, in one process. Letters: N agents."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from envs.multiagentenv import EnvBatch, EpisodeLostError, MultiAgentEnv, Outcome, View, ViewedEnv


class EnvsInTurn(EnvBatch):
    """Single environments, stepped one after the other."""

    def __init__(self, make: Callable[[], MultiAgentEnv], n: int) -> None:
        self.envs: list[MultiAgentEnv] = []
        try:
            for _ in range(n):
                self.envs.append(make())
        except BaseException:
            self.close()
            raise
        self.info = self.envs[0].info

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        """Reset environment after environment."""
        return [reset_one(self.envs[slot], seed) for slot, seed in zip(slots, seeds, strict=True)]

    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        """Step environment after environment."""
        return [step_one(self.envs[slot], action) for slot, action in zip(slots, actions, strict=True)]

    def get_stats(self) -> dict[str, float]:
        """Return the sums of the environments' numbers."""
        return summed(env.get_stats() for env in self.envs)

    def save_replays(self, folder: Path) -> None:
        """Ask every environment for its replay."""
        for slot, env in enumerate(self.envs):
            env.save_replay(folder / str(slot))

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()


class BatchedEnv(ViewedEnv):
    """One environment as a batch of one, for simulators that step many copies at once: `Batch` is all that they write.

    `Batch(n, **env_args)` makes n of them; the settings under `env_args` are its keyword arguments.
    """

    Batch: ClassVar[Callable[..., EnvBatch]]

    def __init__(self, **env_args: Any) -> None:
        self.batch = self.make_batch(env_args, 1)
        self.info = self.batch.info

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the class's name, and its settings."""
        return "-".join([cls.__name__, *(f"{name}{value}" for name, value in env_args.items())])

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> EnvBatch:
        """Return n of them, stepped together."""
        return cls.Batch(n, **env_args)

    def reset(self, seed: int) -> None:
        """Begin an episode drawn from `seed`."""
        (self.view,) = self.batch.reset([0], [seed])

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action."""
        (outcome,) = self.batch.step([0], actions[None])
        *result, self.view = outcome
        return tuple(result)

    def close(self) -> None:
        """Close the batch."""
        self.batch.close()


def reset_one(env: MultiAgentEnv, seed: int) -> View | EpisodeLostError:
    """Begin an episode and return its first view, or why it is lost."""
    try:
        env.reset(seed)
    except EpisodeLostError as lost:
        return lost
    return _view(env)


def step_one(env: MultiAgentEnv, actions: np.ndarray) -> Outcome | EpisodeLostError:
    """Take a joint action (N,) and return what it led to, or why the episode is lost."""
    try:
        reward, terminated, truncated, info = env.step(actions)
    except EpisodeLostError as lost:
        return lost
    return Outcome(reward, terminated, truncated, info, _view(env))


def _view(env: MultiAgentEnv) -> View:
    return View(env.get_obs(), env.get_state(), env.get_avail_actions())


def summed(stats: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the sum of each number over environments."""
    total: Counter[str] = Counter()
    for each in stats:
        total.update(each)
    return dict(total)
