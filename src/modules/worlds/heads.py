"""What world models and critics say of numbers: by classes of a two-hot code, or plainly.

A head's `size` numbers per prediction come out of a network; `loss` compares them with a target, `mean` reads them.
"""

from abc import ABC, abstractmethod

import torch as th
from torch import Tensor, nn
from torch.nn import functional


def symlog(x: Tensor) -> Tensor:
    """``sign(x) ln(1 + |x|)`` (DreamerV3): large numbers made small, small ones left alone."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """``sign(x) (e^|x| - 1)``, the inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


class NumberHead(nn.Module, ABC):
    """How a number is predicted. It has no parameters: its `size` outputs come from the network before it."""

    size: int

    @abstractmethod
    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Return what a prediction ``out (…, size)`` of a target (…) costs: (…)."""

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """Return the predicted numbers (…) of ``out (…, size)``."""


class TwoHot(NumberHead):
    """A distribution over bins that lie evenly in symlog space (DreamerV3; DMAWM, appendix A.3).

    A target between two bins is the two-hot weights that give it back as their mean, and the loss is the cross-entropy
    with them. The prediction is ``softmax(out)ᵀ B`` with ``B = symexp(-range, …, range)``. A target beyond the range
    counts as the outermost bin.
    """

    def __init__(self, bins: int, largest: float) -> None:
        super().__init__()
        if bins < 3 or bins % 2 == 0:
            raise ValueError(f"a two-hot code needs an odd number of bins, 3 or more, so that 0 is one of them: {bins}")
        self.size = bins
        half = symexp(th.linspace(0, largest, bins // 2 + 1, dtype=th.float64))[1:]
        self.register_buffer("bins", th.cat([-half.flip(0), half.new_zeros(1), half]).float(), persistent=False)

    @property
    def limit(self) -> float:
        """The largest number that can be said."""
        return self.bins[-1].item()

    def places(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bin above each number (…), at least the second, and how near the number is to it, in [0, 1]."""
        target = target.clamp(self.bins[0], self.bins[-1])
        above = th.searchsorted(self.bins, target.contiguous(), right=True).clamp(1, self.size - 1)
        low, high = self.bins[above - 1], self.bins[above]
        return above, (target - low) / (high - low)

    def encode(self, target: Tensor) -> Tensor:
        """Return the two-hot weights (…, size) of numbers (…)."""
        above, weight = (x.unsqueeze(-1) for x in self.places(target))
        code = weight.new_zeros(*target.shape, self.size)
        return code.scatter_(-1, above - 1, 1 - weight).scatter_(-1, above, weight)

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy with the target's code."""
        above, weight = self.places(target)
        pair = out.log_softmax(dim=-1).gather(-1, th.stack([above - 1, above], dim=-1))
        return -th.lerp(pair[..., 0], pair[..., 1], weight)

    def mean(self, out: Tensor) -> Tensor:
        """Return the expected bin; both signs are summed alone, so that a flat distribution means exactly 0."""
        p = out.softmax(dim=-1)
        half = self.size // 2
        below, above = p[..., :half].flip(-1), p[..., half + 1 :]
        return ((above - below) * self.bins[half + 1 :]).sum(dim=-1)


class Plain(NumberHead):
    """The number itself: squared error, or smooth L1 (MAMBA's code)."""

    size = 1

    def __init__(self, smooth: bool) -> None:
        super().__init__()
        self.smooth = smooth

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Return half the squared error, or smooth L1."""
        number = out.squeeze(-1)
        return distance(number, target, "smooth_l1") if self.smooth else 0.5 * distance(number, target, "squared")

    def mean(self, out: Tensor) -> Tensor:
        """Return the number."""
        return out.squeeze(-1)


def number_head(form: str, bins: int, largest: float) -> NumberHead:
    """Return the head of a form: `two_hot`, `squared` or `smooth_l1`."""
    return TwoHot(bins, largest) if form == "two_hot" else Plain(smooth=form == "smooth_l1")


def distance(prediction: Tensor, target: Tensor, form: str) -> Tensor:
    """Return how far predictions are from targets, of the same shape: `squared`, `symlog` or `smooth_l1`.

    `symlog` is the squared distance to the target's symlog: the network predicts in symlog space.
    """
    if form == "smooth_l1":
        return functional.smooth_l1_loss(prediction, target, reduction="none")
    return (prediction - (symlog(target) if form == "symlog" else target)).square()


def bernoulli_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return ``-log p`` of yes-or-no targets (0 or 1), of the same shape."""
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
