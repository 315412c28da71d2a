"""Replay over whole episodes, the oldest replaced first."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch as th
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.disk_rows import DiskRows
from components.episode_batch import EpisodeBatch, Scheme, restored


class ReplayBuffer:
    """The last `buffer_size` episodes, each as the rows that it fills, in the compact record of `EpisodeBatch`."""

    def __init__(
        self,
        scheme: Scheme,
        groups: Mapping[str, int],
        buffer_size: int,
        max_seq_length: int,
        seed: int,
        device: th.device | str = "cpu",
        disk: DiskRows | None = None,
    ) -> None:
        """Take how many episodes are kept, and where: on the device, or where `disk` says."""
        self.scheme, self.groups = scheme, groups
        self.buffer_size, self.max_seq_length = buffer_size, max_seq_length
        self.device, self.disk = th.device(device), disk
        self.inserted = 0  # episodes ever; number k lies at k modulo buffer_size
        self.episodes: list[Tensor] = []  # (rows, record) uint8 each
        self._rewarded: list[bool] = []  # whether any reward of each was another number than 0
        self._rng = np.random.default_rng(seed)

    @property
    def episodes_in_buffer(self) -> int:
        """How many episodes there are."""
        return len(self.episodes)

    @property
    def n_bytes(self) -> int:
        """Bytes that the episodes take."""
        return sum(episode.numel() for episode in self.episodes)

    @staticmethod
    def most_rows(capacity: int, max_seq_length: int, steps: int) -> int:
        """Return how many rows there can be at most, after `steps` environment steps in all."""
        return min(capacity * max_seq_length, steps + min(capacity, steps))

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Store every episode of a batch of the same scheme and length; the oldest make room."""
        assert batch.max_seq_length == self.max_seq_length, (batch.max_seq_length, self.max_seq_length)
        lengths = batch.array("filled").sum(axis=(1, 2)).tolist()
        episodes = [self._kept(storage[:rows]) for storage, rows in zip(batch.storage, lengths, strict=True)]
        for episode, rewarded in zip(episodes, rewarded_episodes(batch), strict=True):
            if len(self.episodes) < self.buffer_size:
                self.episodes.append(episode)
                self._rewarded.append(rewarded)
            else:
                place = self.inserted % self.buffer_size
                self.episodes[place], self._rewarded[place] = episode, rewarded
            self.inserted += 1

    def _kept(self, rows: Tensor) -> Tensor:
        return rows.to(self.device, copy=True) if self.disk is None else self.disk.keep(rows)

    @property
    def oldest(self) -> int:
        """The number of the oldest episode that is kept."""
        return self.inserted - len(self.episodes)

    def since(self, number: int) -> list[Tensor]:
        """Return the episodes numbered `number` and later, which must be kept still."""
        assert self.oldest <= number <= self.inserted, (self.oldest, number, self.inserted)
        return [self.episodes[k % self.buffer_size] for k in range(number, self.inserted)]

    def restore(self, inserted: int, episodes: Iterable[Tensor], rng_state: dict[str, Any]) -> None:
        """Take up the last episodes of `inserted` ever, in the order of their numbers, and the sampler's state.

        Raises ValueError for episodes of another task, or too few.
        """
        found = restored(episodes, inserted, self.scheme, self.groups, self.max_seq_length)
        kept = [self._kept(episode) for episode in found]
        if len(kept) != min(inserted, self.buffer_size):
            raise ValueError(f"replay holds {len(kept)} of {inserted} episodes")
        places = {k % self.buffer_size: episode for k, episode in enumerate(kept, start=inserted - len(kept))}
        self.episodes = [places[place] for place in range(len(kept))]
        self._rewarded = [
            rewarded_episodes(EpisodeBatch(self.scheme, self.groups, 1, len(episode), episode.unsqueeze(0)))[0]
            for episode in self.episodes
        ]
        self.inserted = inserted
        self._rng.bit_generator.state = rng_state

    def rng_state(self) -> dict[str, Any]:
        """Return the state of the generator that samples: names and whole numbers."""
        return self._rng.bit_generator.state

    def can_sample(self, batch_size: int) -> bool:
        """Say whether there are that many episodes."""
        return self.episodes_in_buffer >= batch_size

    def sample(
        self,
        batch_size: int,
        device: th.device | str = "cpu",
        full_length: bool = False,
        rewarded_share: float = 0.0,
    ) -> EpisodeBatch:
        """Draw different episodes uniformly and bring them to the device in one copy.

        They are padded to the longest of them, or with `full_length` to the longest that there can be. With
        `rewarded_share`, so many of the batch are first drawn from episodes that brought a reward, as far as there are
        as many, and the others from all that are left.
        """
        assert self.can_sample(batch_size), (self.episodes_in_buffer, batch_size)
        places = self._places(batch_size, round(rewarded_share * batch_size))
        storage = pad_sequence([self.episodes[place] for place in places], batch_first=True)
        if full_length:
            storage = th.nn.functional.pad(storage, (0, 0, 0, self.max_seq_length - storage.shape[1]))
        return EpisodeBatch(self.scheme, self.groups, batch_size, storage.shape[1], storage).to(device)

    def _places(self, batch_size: int, n_rewarded: int) -> np.ndarray:
        """Return different places in replay, `n_rewarded` of them, or all there are, where a reward was."""
        if n_rewarded == 0:
            return self._rng.choice(self.episodes_in_buffer, batch_size, replace=False)
        rewarded = np.flatnonzero(self._rewarded)
        sought = self._rng.choice(rewarded, min(n_rewarded, len(rewarded)), replace=False)
        others = np.setdiff1d(np.arange(self.episodes_in_buffer), sought, assume_unique=True)
        return np.concatenate([sought, self._rng.choice(others, batch_size - len(sought), replace=False)])


def rewarded_episodes(batch: EpisodeBatch) -> list[bool]:
    """Say of each episode whether any of its rewards, or any agent's, was another number than 0."""
    return (batch.array("reward")[:, :-1] != 0).any(axis=(1, 2)).tolist()
