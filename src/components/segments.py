"""Replay for world models: stretches of rows out of whole episodes, the oldest episodes forgotten first.

A segment begins at some row of an episode and goes on through its end into the next episode's beginning: a row that
nothing led to is flagged `first`, and whoever carries something from row to row starts anew there. Hence no row is
padding, and all count. Segments may also stay for some rows in an episode that has ended (`absorbing`).

Letters: B segments, T rows of each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from torch import Tensor

from components.disk_rows import DiskRows
from components.episode_batch import EpisodeBatch, Scheme, restored


@dataclass(frozen=True)
class Segments:
    """B stretches of T rows: `segments["obs"]` is a quantity (B, T, …), as of an `EpisodeBatch`; flags are (B, T) bool.

    `first`: nothing led to the row, because an episode begins, or the segment. `last`: the row is its episode's last,
    with no action after it. `ended`: the row repeats the last one of an episode that has terminated.
    """

    rows: EpisodeBatch
    first: Tensor
    last: Tensor
    ended: Tensor

    def __getitem__(self, name: str) -> Tensor:
        return getattr(self, name) if name in ("first", "last", "ended") else self.rows[name]

    @property
    def scheme(self) -> Scheme:
        """What the rows hold."""
        return self.rows.scheme

    def to(self, device: th.device | str) -> "Segments":
        """Return the segments on another device."""
        flags = (flag.to(device, non_blocking=True) for flag in (self.first, self.last, self.ended))
        return Segments(self.rows.to(device), *flags)


class SegmentReplay:
    """The last episodes, as many as hold `capacity` environment steps, each as the rows that it fills."""

    def __init__(
        self,
        scheme: Scheme,
        groups: Mapping[str, int],
        capacity: int,
        max_seq_length: int,
        seed: int,
        device: th.device | str = "cpu",
        disk: DiskRows | None = None,
    ) -> None:
        """Take how many steps are kept, and where: in memory, or where `disk` says."""
        if capacity < max_seq_length - 1:
            raise ValueError(f"replay of {capacity} steps cannot hold an episode: raise buffer_size")
        self.scheme, self.groups = scheme, groups
        self.capacity, self.max_seq_length = capacity, max_seq_length
        self.device, self.disk = th.device(device), disk
        self.inserted, self.oldest, self.steps = 0, 0, 0
        self._episodes: dict[int, Tensor] = {}  # by number, (rows, record) uint8 each
        self._rewarded: dict[int, np.ndarray] = {}  # the transitions that brought a reward
        self._rng = np.random.default_rng(seed)
        self._index: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes that the episodes take."""
        return sum(episode.numel() for episode in self._episodes.values())

    @staticmethod
    def most_rows(capacity: int, max_seq_length: int, steps: int) -> int:
        """Return how many rows `steps` environment steps leave, if episodes are as long as they can be."""
        kept = min(capacity, steps)
        return kept + kept // (max_seq_length - 1)

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Store every episode of a batch of the same scheme; the oldest make room."""
        lengths = batch.array("filled").sum(axis=(1, 2)).tolist()
        for episode in [self._kept(storage[:rows]) for storage, rows in zip(batch.storage, lengths, strict=True)]:
            self._insert(episode)

    def _kept(self, rows: Tensor) -> Tensor:
        return rows.to("cpu", copy=True) if self.disk is None else self.disk.keep(rows)

    def _insert(self, episode: Tensor) -> None:
        rewards = self._view(episode.unsqueeze(0)).array("reward")[0, :-1]
        self._episodes[self.inserted] = episode
        self._rewarded[self.inserted] = rewards.any(axis=-1).nonzero()[0]
        self.inserted += 1
        self.steps += len(episode) - 1
        while self.steps > self.capacity:
            self.steps -= len(self._episodes.pop(self.oldest)) - 1
            del self._rewarded[self.oldest]
            self.oldest += 1
        self._index = None

    def _view(self, storage: Tensor) -> EpisodeBatch:
        return EpisodeBatch(self.scheme, self.groups, storage.shape[0], storage.shape[1], storage)

    def since(self, number: int) -> list[Tensor]:
        """Return the episodes numbered `number` and later, which must be kept still."""
        assert self.oldest <= number <= self.inserted, (self.oldest, number, self.inserted)
        return [self._episodes[k] for k in range(number, self.inserted)]

    def restore(self, inserted: int, episodes: Iterable[Tensor], rng_state: dict[str, Any]) -> None:
        """Take up the last episodes of `inserted` ever, in the order of their numbers, and the sampler's state.

        Raises ValueError for episodes of another task, or too many.
        """
        found = restored(episodes, inserted, self.scheme, self.groups, self.max_seq_length)
        kept = [self._kept(episode) for episode in found]
        self.inserted = self.oldest = inserted - len(kept)
        self.steps = 0
        self._episodes, self._rewarded = {}, {}
        for episode in kept:
            self._insert(episode)
        self._rng.bit_generator.state = rng_state

    def rng_state(self) -> dict[str, Any]:
        """Return the state of the generator that samples: names and whole numbers."""
        return self._rng.bit_generator.state

    def sample(
        self,
        n: int,
        length: int,
        absorbing: int | None = 0,
        rewarded_share: float = 0.0,
        device: th.device | str = "cpu",
    ) -> Segments:
        """Draw n segments and bring them to the device.

        Each begins at a row that an action follows: any of them, equally likely, or with probability `rewarded_share`
        one from where the segment comes to a reward, equally likely which.

        Args:
            n: B.
            length: T, at least 2.
            absorbing: how many rows an episode that terminated is stayed in; None fills the segment with them. One that
                was cut off is followed by the next at once.
            rewarded_share: see above; where there is no reward yet, all rows are equally likely.
            device: where the segments shall lie.
        """
        assert self.steps > 0, "replay is empty"
        starts = [self._start(length, rewarded_share) for _ in range(n)]
        pieces, flags = zip(*(self._walk(*start, length, absorbing) for start in starts), strict=True)
        storage = th.stack([th.cat(piece) for piece in pieces])
        first, last, ended = th.from_numpy(np.stack(flags, axis=1))
        segments = Segments(self._view(storage), first, last, ended)
        return segments if th.device(device).type == "cpu" else segments.to(device)

    def _start(self, length: int, rewarded_share: float) -> tuple[int, int]:
        """Return the episode, counted from the oldest, and the row of it, that a segment begins with."""
        steps, rewards = self._indexed()
        draw, where = self._rng.random(2)
        if draw < rewarded_share and rewards[-1] > 0:
            episode, nth = _place(rewards, where)
            reward_at = self._rewarded[self.oldest + episode][nth]
            return episode, reward_at - int(self._rng.integers(min(reward_at, length - 2) + 1))
        return _place(steps, where)

    def _indexed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how many steps, and how many rewards, there are up to each episode, it included."""
        if self._index is None:
            numbers = range(self.oldest, self.inserted)
            counts = [[len(self._episodes[k]) - 1 for k in numbers], [len(self._rewarded[k]) for k in numbers]]
            self._index = tuple(np.cumsum(counts, axis=1))
        return self._index

    def _walk(self, episode: int, row: int, length: int, absorbing: int | None) -> tuple[list[Tensor], np.ndarray]:
        """Return the records of a segment in pieces, and its flags (3, T): first, last, ended."""
        flags, pieces, at = np.zeros((3, length), dtype=bool), [], 0
        flags[0, 0] = True
        while at < length:
            records = self._episodes[self.oldest + episode]
            piece = records[row : row + length - at]
            flags[0, at] = flags[0, at] or row == 0
            pieces.append(piece)
            at += len(piece)
            if row + len(piece) == len(records):
                flags[1, at - 1] = True
                stay = (length if absorbing is None else absorbing) if self._terminated(records) else 0
                stay = min(stay, length - at)
                pieces.append(records[-1:].expand(stay, -1))
                flags[2, at : at + stay] = True
                at += stay
            episode, row = (episode + 1) % len(self._episodes), 0
        return pieces, flags

    def _terminated(self, records: Tensor) -> bool:
        return bool(self._view(records.unsqueeze(0)).array("terminated")[0, -2, 0])


def _place(cumulated: np.ndarray, where: float) -> tuple[int, int]:
    """Return which of the counts a number in [0, 1) falls into, and at which place within it."""
    number = int(where * cumulated[-1])
    group = int(np.searchsorted(cumulated, number, side="right"))
    return group, number - (int(cumulated[group - 1]) if group else 0)
