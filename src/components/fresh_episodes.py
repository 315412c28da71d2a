"""The last rounds of episodes, which are learnt from once and forgotten: what on-policy methods are given."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch as th
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.disk_rows import DiskRows
from components.episode_batch import EpisodeBatch, Scheme, restored


class FreshEpisodes:
    """Episodes that wait to be learnt from, each as the rows that it fills, in the record of `EpisodeBatch`.

    Its verbs are those of `ReplayBuffer`, but for the taking. Nothing is drawn: `rng_state` is empty.
    """

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
        """Take what every experience is given; the size and the seed are for those that keep and draw."""
        if disk is not None:
            raise ValueError("buffer_device=disk is for replay, and only episodes of the last rounds are kept here")
        self.scheme, self.groups, self.max_seq_length = scheme, groups, max_seq_length
        self.device = th.device(device)
        self.inserted = 0  # episodes ever
        self.episodes: list[Tensor] = []  # (rows, record) uint8 each

    @property
    def n_bytes(self) -> int:
        """Bytes that the episodes take."""
        return sum(episode.numel() for episode in self.episodes)

    @staticmethod
    def most_rows(capacity: int, max_seq_length: int, steps: int) -> int:
        """Return how many rows there can be, if `capacity` episodes wait at most."""
        return capacity * max_seq_length

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Store every episode of a batch of the same scheme and length."""
        assert batch.max_seq_length == self.max_seq_length, (batch.max_seq_length, self.max_seq_length)
        lengths = batch.array("filled").sum(axis=(1, 2)).tolist()
        self.episodes += [
            storage[:rows].to(self.device, copy=True) for storage, rows in zip(batch.storage, lengths, strict=True)
        ]
        self.inserted += len(lengths)

    @property
    def oldest(self) -> int:
        """The number of the oldest episode that was not learnt from yet."""
        return self.inserted - len(self.episodes)

    def since(self, number: int) -> list[Tensor]:
        """Return the episodes numbered `number` and later, which must be waiting still."""
        assert self.oldest <= number <= self.inserted, (self.oldest, number, self.inserted)
        return self.episodes[number - self.oldest :]

    def restore(self, inserted: int, episodes: Iterable[Tensor], rng_state: dict[str, Any]) -> None:
        """Take up the waiting episodes, the last of `inserted` ever.

        Raises ValueError for those of another task, or too many.
        """
        waiting = restored(episodes, inserted, self.scheme, self.groups, self.max_seq_length)
        self.episodes, self.inserted = [episode.to(self.device) for episode in waiting], inserted

    def rng_state(self) -> dict[str, Any]:
        """Return nothing: nothing is drawn."""
        return {}

    @property
    def steps(self) -> int:
        """Environment steps of the episodes that wait."""
        return sum(len(episode) - 1 for episode in self.episodes)

    def take(self, batch_size: int, batch_steps: int, device: th.device | str = "cpu") -> EpisodeBatch | None:
        """Return all that wait, padded to the longest of them, once there are enough; else None.

        Enough are at least `batch_size` episodes with at least `batch_steps` environment steps. They are brought to the
        device in one copy, and wait no longer.
        """
        if len(self.episodes) < batch_size or self.steps < batch_steps:
            return None
        storage = pad_sequence(self.episodes, batch_first=True)
        self.episodes = []
        return EpisodeBatch(self.scheme, self.groups, len(storage), storage.shape[1], storage).to(device)
