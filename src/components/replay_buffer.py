"""Replay over whole episodes, the oldest replaced first."""

from collections.abc import Mapping

import numpy as np
import torch as th

from components.episode_batch import EpisodeBatch, Scheme


class ReplayBuffer(EpisodeBatch):
    """The last `buffer_size` episodes, kept on the CPU in the compact record of `EpisodeBatch`."""

    def __init__(
        self, scheme: Scheme, groups: Mapping[str, int], buffer_size: int, max_seq_length: int, seed: int
    ) -> None:
        super().__init__(scheme, groups, buffer_size, max_seq_length)
        self.buffer_size = buffer_size
        self.episodes_in_buffer = 0
        self._next = 0
        self._rows_filled = np.zeros(buffer_size, dtype=np.int64)
        self._rng = np.random.default_rng(seed)

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Store every episode of a batch of the same scheme and length; the oldest make room."""
        assert batch.storage.shape[1:] == self.storage.shape[1:], (batch.storage.shape, self.storage.shape)
        places = (self._next + np.arange(batch.batch_size)) % self.buffer_size
        self.storage[places] = batch.storage
        self._rows_filled[places] = batch.array("filled").sum(axis=(1, 2))
        self._next = (self._next + batch.batch_size) % self.buffer_size
        self.episodes_in_buffer = min(self.episodes_in_buffer + batch.batch_size, self.buffer_size)

    def can_sample(self, batch_size: int) -> bool:
        """Say whether there are that many episodes."""
        return self.episodes_in_buffer >= batch_size

    def sample(self, batch_size: int, device: th.device | str = "cpu") -> EpisodeBatch:
        """Draw different episodes uniformly, cut to the longest of them, and bring them to the device in one copy."""
        assert self.can_sample(batch_size), (self.episodes_in_buffer, batch_size)
        places = self._rng.choice(self.episodes_in_buffer, batch_size, replace=False)
        length = int(self._rows_filled[places].max())
        storage = self.storage[:, :length].index_select(0, th.from_numpy(places))
        return EpisodeBatch(self.scheme, self.groups, batch_size, length, storage).to(device)
