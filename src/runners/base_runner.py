"""The one loop that plays episodes; runners differ only in where their environments live.

Letters: n episodes at once, T the episode limit, N agents, A actions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th

from components.episode_batch import EpisodeBatch, Rows, Scheme, episode_scheme
from envs.multiagentenv import EnvInfo
from envs.serving import Outcome, View

Streams = Sequence[tuple[int, np.random.Generator]]


@dataclass(frozen=True)
class EpisodeResult:
    """One episode in numbers: its environment seed, undiscounted return, length in steps, and how it ended.

    `info` is what the environment said with the last step.
    """

    seed: int
    episode_return: float
    length: int
    truncated: bool
    info: Mapping[str, float]


class BaseRunner(ABC):
    """Plays up to `batch_size` episodes at once with one controller."""

    def __init__(self, info: EnvInfo, batch_size: int, clock: Any) -> None:
        self.info, self.batch_size, self.clock = info, batch_size, clock
        self.groups = {"agents": info.n_agents}
        self.scheme: Scheme = episode_scheme(
            obs_size=info.obs_size,
            state_size=info.state_size,
            n_actions=info.n_actions,
            obs_dtype=_torch_dtype(info.obs_dtype),
            state_dtype=_torch_dtype(info.state_dtype),
        )
        self.max_seq_length = info.episode_limit + 1

    @abstractmethod
    def _reset(self, seeds: Sequence[int]) -> list[View]:
        """Start an episode in slots 0 … n-1."""

    @abstractmethod
    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        """Take the joint actions (n, N) in some slots, in order."""

    @abstractmethod
    def close(self) -> None:
        """End every environment and process; calling it twice does no harm."""

    def run(self, mac: Any, streams: Streams, epsilon: float) -> tuple[EpisodeBatch, list[EpisodeResult]]:
        """Play one episode per stream, all at once.

        Args:
            mac: a controller, see `BasicMAC.select_actions`.
            streams: per episode its environment seed and the generator of its exploration; at most `batch_size`.
            epsilon: probability of a random action.

        Returns:
            The episodes as a batch on the CPU, and their results, in the order of the streams.
        """
        n = len(streams)
        assert 0 < n <= self.batch_size, (n, self.batch_size)
        self.clock.lap("other")
        batch = EpisodeBatch(self.scheme, self.groups, n, self.max_seq_length)
        views = self._reset([seed for seed, _ in streams])
        self.clock.lap("env")
        _write_views(batch, slice(None), 0, views)

        active, t = list(range(n)), 0
        returns, results = [0.0] * n, [None] * n
        hidden = mac.init_hidden(n)
        draws = self._draws(streams) if epsilon > 0 else None
        self.clock.lap("batch")
        while active:
            slots = slice(None) if len(active) == n else active  # NumPy is quicker with a slice than with a list
            drawn = None if draws is None else draws[slots, t]
            actions, hidden = mac.select_actions(batch, t, hidden, epsilon, drawn, bs=slots)
            self.clock.lap("act")
            outcomes = self._step(active, actions)
            self.clock.lap("env")
            rewards, ended, _, _, views = zip(*outcomes, strict=True)
            led_to = {"reward": np.array(rewards)[:, None], "terminated": np.array(ended)[:, None]}
            batch.update({"actions": actions[..., None], **led_to}, bs=slots, ts=t)
            _write_views(batch, slots, t + 1, views)
            going_on = []
            for row, (slot, outcome) in enumerate(zip(active, outcomes, strict=True)):
                returns[slot] += outcome.reward
                if outcome.terminated or outcome.truncated:
                    results[slot] = EpisodeResult(
                        streams[slot][0], returns[slot], t + 1, outcome.truncated, outcome.info
                    )
                else:
                    going_on.append(row)
            if len(going_on) < len(active):
                active = [active[row] for row in going_on]
                hidden = hidden[going_on]
            t += 1
            self.clock.lap("batch")
        return batch, results

    def _draws(self, streams: Streams) -> np.ndarray:
        """Return (n, T, 2, N) uniform numbers for exploring whole episodes, each episode's from its own generator."""
        shape = (self.info.episode_limit, 2, self.info.n_agents)
        return np.stack([generator.random(shape) for _, generator in streams])


def _write_views(batch: EpisodeBatch, slots: Rows, t: int, views: Sequence[View]) -> None:
    quantities = zip(View._fields, zip(*views, strict=True), strict=True)
    batch.update({**dict(quantities), "filled": True}, bs=slots, ts=t)


def _torch_dtype(dtype: np.dtype) -> th.dtype:
    return th.from_numpy(np.empty(0, dtype=dtype)).dtype
