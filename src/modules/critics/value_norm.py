"""Running statistics of returns: critics learn normalised ones."""

import torch as th
from torch import Tensor, nn

LEAST_VARIANCE = 1e-2  # below which returns are not stretched


class ValueNorm(nn.Module):
    """Mean and variance of returns, exponentially averaged over updates, without the bias of their start at 0.

    Value normalisation of MAPPO (Yu et al., 2022, §5.1; van Hasselt et al., PopArt, 2016, without its correction of the
    weights). With β near 1 all updates so far count the same.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta
        for name in ("mean_sum", "square_sum", "weight"):
            self.register_buffer(name, th.zeros((), dtype=th.float64))

    @th.no_grad()
    def update(self, returns: Tensor, weights: Tensor) -> None:
        """Take in an update's returns, with the weights of a mean: same shapes."""
        for total, value in (
            (self.mean_sum, (weights * returns).sum()),
            (self.square_sum, (weights * returns.square()).sum()),
            (self.weight, th.ones(())),
        ):
            total.mul_(self.beta).add_(value, alpha=1 - self.beta)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation as float32 scalars: 0 and 1 before the first update."""
        weight = self.weight.clamp(min=1e-12)
        mean = self.mean_sum / weight
        std = (self.square_sum / weight - mean.square()).clamp(min=LEAST_VARIANCE).sqrt()
        return mean.float(), th.where(self.weight > 0, std, 1.0).float()

    def normalised(self, returns: Tensor) -> Tensor:
        """Return ``(G - mean) / std``."""
        mean, std = self.statistics()
        return (returns - mean) / std

    def on_reward_scale(self, values: Tensor) -> Tensor:
        """Return ``v std + mean``, what a critic's normalised value stands for."""
        mean, std = self.statistics()
        return values * std + mean
