"""Numbers that are NaN or infinite: noticed before the optimiser's step, and named."""

from collections.abc import Iterable, Mapping

import torch as th
from torch import Tensor

from components.episode_rows import Batch

# What learners ask a batch for.
QUANTITIES = ("state", "obs", "avail_actions", "actions", "reward", "terminated", "filled")


class NotFiniteError(Exception):
    """An update met numbers that are not finite, and was not taken; networks and optimiser are as before it.

    `names` are the tensors that hold such numbers, those that may have caused the others first; `tensor` is the first
    of them, `update` the number of the update, counted from 0, and `batch` what it was to learn from, if it had begun.
    """

    def __init__(self, found: Mapping[str, Tensor], update: int, batch: Batch | None) -> None:
        self.names, self.tensor = list(found), next(iter(found.values()))
        self.update, self.batch = update, batch
        super().__init__(f"update {update}: not finite: {', '.join(self.names)}")


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Return those of the named tensors that hold NaN or an infinity, in their order. Waits for the device."""
    return {name: tensor for name, tensor in tensors if not bool(tensor.isfinite().all())}


def quantities(batch: Batch) -> dict[str, Tensor]:
    """Return what learners read of a batch, each (B, T+1, …), by `batch.<name>`."""
    return {f"batch.{name}": batch[name] for name in QUANTITIES}


def all_finite(*scalars: Tensor) -> Tensor:
    """Return a boolean scalar on the device: whether all of some scalars are finite. Waits for nothing."""
    return th.stack([scalar.detach() for scalar in scalars]).isfinite().all()
