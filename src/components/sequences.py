"""The transitions of a batch as sequences to be unrolled: whole episodes, or chunks of them, in minibatches.

Letters: K transitions of a batch, in the order of `EpisodeRows.now`; k those of a minibatch.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch as th
from torch import Tensor

from components.episode_rows import step_and_rank


class Unrolled(NamedTuple):
    """Some sequences, longest first, step after step.

    Attributes:
        sizes: how many rows there are at each step; their sum is k.
        places: (k,), which transitions they are; None for all K in their order.
        before: (sizes[0],), the transition before each sequence, or -1 at an episode's beginning; None for all -1.
    """

    sizes: list[int]
    places: Tensor | None
    before: Tensor | None

    def take(self, x: Tensor) -> Tensor:
        """Return the rows ``(k, …)`` of ``x (K, …)``."""
        return x if self.places is None else x[self.places]

    def starts(self, h: Tensor | None) -> Tensor | None:
        """Return what hidden states the sequences begin with, of ``h (K, …)``: None where all begin with zeros."""
        if self.before is None:
            return None
        goes_on = (self.before >= 0).view(-1, *[1] * (h.dim() - 1))
        return h[self.before.clamp(min=0)] * goes_on


class Sequences:
    """The sequences of a batch: its episodes, each cut into chunks of at most `chunk` transitions (None: uncut)."""

    def __init__(self, sizes: Sequence[int], chunk: int | None, device: th.device | str = "cpu") -> None:
        """Take how many transitions there are at each step, never more than at the one before."""
        sizes = np.array(sizes)
        self.device = device
        self._sizes, self._offsets = sizes, sizes.cumsum() - sizes
        lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)  # of the episodes, longest first
        chunk = len(sizes) if chunk is None else chunk
        self._episode, number = step_and_rank(-(-lengths // chunk))
        self._first = number * chunk
        self._length = np.minimum(chunk, lengths[self._episode] - self._first)
        self.cut = bool(number.any())

    def __len__(self) -> int:
        return len(self._length)

    def minibatches(self, n: int) -> Iterator[Unrolled]:
        """Yield all sequences in n groups drawn anew from Torch's generator; in one, if n is 1, with no draw."""
        if n == 1:
            yield self._unrolled(np.arange(len(self)))
            return
        for chosen in np.array_split(th.randperm(len(self)).numpy(), min(n, len(self))):
            yield self._unrolled(chosen)

    def _unrolled(self, chosen: np.ndarray) -> Unrolled:
        chosen = chosen[np.argsort(-self._length[chosen], kind="stable")]
        if len(chosen) == len(self) and not self.cut:
            return Unrolled(self._sizes.tolist(), None, None)
        lengths, first, episode = (x[chosen] for x in (self._length, self._first, self._episode))
        sizes = (lengths[:, None] > np.arange(lengths[0])).sum(axis=0)
        step, rank = step_and_rank(sizes)
        places = self._offsets[first[rank] + step] + episode[rank]
        before = np.where(first > 0, self._offsets[np.maximum(first - 1, 0)] + episode, -1)
        found = (th.from_numpy(places).to(self.device), th.from_numpy(before).to(self.device))
        return Unrolled(sizes.tolist(), found[0], found[1] if self.cut else None)
