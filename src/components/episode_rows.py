"""The rows of a batch of episodes, step after step: what learners compute on.

Letters: B episodes, T transitions (a batch has T+1 rows per episode), R rows, K transitions.

Everything but the unrolling of histories and the λ-returns treats rows alike, wherever they stand in an episode. So a
batch becomes one long list of rows, in the order in which histories are unrolled: all episodes' first rows, then all
second ones, and so on. Longest episodes come first, so the rows of a step that are followed by another lead the step
(the order of PyTorch's `PackedSequence`), and the K rows that follow a transition are the end of the list.

On a CPU the rows that no episode fills are left out (`packed`): what padding would cost is not computed. On a GPU they
stay, so that shapes never change and nothing waits for a length; masks then say which count. In between, a packed list
can be filled up with padding to one of a few lengths, for a matrix product that prepares itself for each (`few_sizes`).

Losses are sums over rows, weighted so that they are means over a batch (`weights`). A batch may be a part of a larger
one (`totals`): then its losses are shares, which add up to the larger batch's means.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch as th
from torch import Tensor


class Batch(Protocol):
    """Episodes as learners see them: ``batch["obs"]`` is a quantity (B, T+1, …), and nothing else is asked for.

    Numbers are float32, actions int64, flags (`terminated`, `filled`, `avail_actions`) bool.
    """

    def spread(self, x: Tensor) -> Tensor:
        """Return ``(B, T+1, …)`` from rows ``(R, …)``, with zeros where there are none."""
        B, rows = self.shape
        if not self.packed:
            return x.unflatten(0, (rows, B)).transpose(0, 1)
        spread = x.new_zeros(B * rows, *x.shape[1:])
        spread[self._places] = x
        return spread.unflatten(0, (B, rows))

    def __getitem__(self, name: str) -> Tensor: ...


class EpisodeRows:
    """Rows of a batch in the order described above.

    Attributes:
        sizes: rows at each step; their sum is R.
        mask: (R,) float, 1 for the rows that an episode fills.
        pair_mask: (K,) float, 1 for the transitions that took place.
    """

    def __init__(
        self,
        batch: Batch,
        packed: bool | None = None,
        few_sizes: bool = False,
        totals: Sequence[int] | None = None,
    ) -> None:
        """Take the rows of a batch. `packed=None` packs on a CPU alone; `few_sizes` then lets R be one of a few.

        `totals` are the larger batch's, see `totals_of`, where this one is a part.
        """
        self.batch, self._totals = batch, totals
        filled = batch["filled"].squeeze(-1)  # (B, T+1)
        self.shape = filled.shape
        self.packed = filled.device.type == "cpu" if packed is None else packed
        if self.packed:
            self._pack(filled.sum(dim=1).cpu(), filled.device, few_sizes)
        else:
            B, rows = self.shape
            self.sizes = [B] * rows
        self.n_first = self.sizes[0]
        self.mask = self.take(filled).float()
        self.pair_mask = self.then(self.mask)

    def _pack(self, lengths: Tensor, device: th.device, few_sizes: bool) -> None:
        """Find the place of every row, and of every transition, in the batch (B, T+1), (B, T) laid flat."""
        lengths, T = lengths.numpy(), self.shape[1] - 1
        longest_first = np.argsort(-lengths, kind="stable")
        sizes = (lengths[:, None] > np.arange(T + 1)).sum(axis=0)
        if few_sizes:
            sizes = filled_up(sizes)
        sizes = sizes[sizes > 0]
        step, rank = step_and_rank(sizes)
        episode = longest_first[rank]
        now = _followed(sizes)
        self.sizes = sizes.tolist()
        self._places, self._now = (th.from_numpy(at).to(device) for at in (episode * (T + 1) + step, now))
        self._pair_places = th.from_numpy((episode * T + step)[now]).to(device)

    def weights(self, after: int = 0) -> Tensor:
        """Return what each row counts in a mean over all of them: (R,), 0 for padding.

        With `after`, for the rows that many steps into their episode and later: ``weights(1)`` (K,) is for transitions,
        ``weights(2)`` for transitions that follow another one.
        """
        counted = self.mask[sum(self.sizes[:after]) :]
        return counted / (counted.sum().clamp(min=1) if self._totals is None else max(self._totals[after], 1))

    def take(self, x: Tensor) -> Tensor:
        """Return the rows ``(R, …)`` of a quantity ``(B, T+1, …)``."""
        return x.flatten(0, 1)[self._places] if self.packed else x.transpose(0, 1).flatten(0, 1)

    def take_pairs(self, x: Tensor) -> Tensor:
        """Return the transitions ``(K, …)`` of a quantity ``(B, T, …)``."""
        return x.flatten(0, 1)[self._pair_places] if self.packed else x.transpose(0, 1).flatten(0, 1)

    def spread_pairs(self, x: Tensor) -> Tensor:
        """Return ``(B, T, …)`` from transitions ``(K, …)``, with zeros where there are none."""
        B, rows = self.shape
        if not self.packed:
            return x.unflatten(0, (rows - 1, B)).transpose(0, 1)
        spread = x.new_zeros(B * (rows - 1), *x.shape[1:])
        spread[self._pair_places] = x
        return spread.unflatten(0, (B, rows - 1))

    def spread(self, x: Tensor) -> Tensor:
        """Return ``(B, T+1, …)`` from rows ``(R, …)``, with zeros where there are none."""
        B, rows = self.shape
        if not self.packed:
            return x.unflatten(0, (rows, B)).transpose(0, 1)
        spread = x.new_zeros(B * rows, *x.shape[1:])
        spread[self._places] = x
        return spread.unflatten(0, (B, rows))

    def __getitem__(self, name: str) -> Tensor:
        """Return the rows (R, …) of one of the batch's quantities."""
        return self.take(self.batch[name])

    def now(self, x: Tensor, after: int = 0) -> Tensor:
        """Return the rows that a transition leads on from: ``(R, …) -> (K, …)``.

        With `after`, `x` holds only the rows that many steps into their episode and later, and so does the result.
        """
        if not self.packed:
            return x[: -self.n_first]
        return x[self._now if after == 0 else th.from_numpy(_followed(np.array(self.sizes[after:]))).to(x.device)]

    def then(self, x: Tensor, after: int = 0) -> Tensor:
        """Return the rows that those transitions lead to, in the same order: ``(R, …) -> (K, …)``, a view."""
        return x[self.sizes[after] :]


def totals_of(batch: Batch) -> list[int]:
    """Return how many rows of a batch are at least 0, 1, 2, … steps into their episode: what `weights` divide by."""
    per_step = batch["filled"].flatten(1).sum(dim=0)
    return [*per_step.flip(0).cumsum(0).flip(0).tolist(), 0, 0]  # none are farther than an episode is long


def filled_up(sizes: np.ndarray) -> np.ndarray:
    """Return the sizes with padding, early steps first, so that no more than four binary digits of their sum count.

    At most an eighth is added, and no more than the batch has room for. No step becomes larger than the one before it.
    """
    rows = int(sizes.sum())
    unit = max(2 ** (rows.bit_length() - 4), 1)
    added = np.minimum((sizes[0] - sizes).cumsum(), -rows % unit)
    return sizes + np.diff(added, prepend=0)


def step_and_rank(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the step of each row, and its number within the step; or of anything else that comes in groups."""
    step = np.repeat(np.arange(len(sizes)), sizes)
    return step, np.arange(len(step)) - np.repeat(sizes.cumsum() - sizes, sizes)


def _followed(sizes: np.ndarray) -> np.ndarray:
    """Return which rows another row of the same episode follows."""
    step, rank = step_and_rank(sizes)
    return (rank < np.append(sizes, 0)[step + 1]).nonzero()[0]
