"""From what an agent knows to a density over its actions: the last layer of every actor.

A head is called as ``head(x (…, F), available (…, W)) -> Density`` (see `modules.actors.densities`); W is the width of
`avail_actions`: A actions, C numbers, or all parts' choices one after the other.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch as th
from torch import Tensor, nn

from modules.actors.densities import Categorical, Categoricals, Gaussian
from modules.linear import Linear
from modules.start import SMALL

LOWEST, HIGHEST = -5.0, 2.0  # of log σ where it depends on the state


class DiscreteHead(nn.Module):
    """A linear layer to logits."""

    def __init__(self, in_size: int, n_actions: int, n_agents: int | None = None) -> None:
        super().__init__()
        self.last = _small(Linear(in_size, n_actions, n_agents=n_agents))

    def forward(self, x: Tensor, available: Tensor | None = None) -> Categorical:
        """Return the density of ``x (…, F)``."""
        return Categorical(self.last(x), available)


class MultiDiscreteHead(nn.Module):
    """A linear layer to the logits of all parts."""

    def __init__(self, in_size: int, sizes: Sequence[int], n_agents: int | None = None) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.last = _small(Linear(in_size, sum(self.sizes), n_agents=n_agents))

    def forward(self, x: Tensor, available: Tensor | None = None) -> Categoricals:
        """Return the density of ``x (…, F)``."""
        return Categoricals(self.last(x), available, self.sizes)


class GaussianHead(nn.Module):
    """A linear layer to means, in units of half an action's range about its middle (1 about 0 where it has no bounds).

    Nothing is squashed: what leaves the bounds is clipped by the environment, and its log-probability is that of the
    number before clipping (MAPPO, Yu et al., 2022). The spread is a parameter for each number (`spread="fixed"`), or a
    linear layer's, bounded (`"state"`).
    """

    def __init__(
        self,
        in_size: int,
        low: Tensor,
        high: Tensor,
        spread: str = "fixed",
        initial_std: float = 0.5,
        n_agents: int | None = None,
    ) -> None:
        """Take bounds ``(N, C)`` of each agent's numbers, and σ at the start in those units."""
        super().__init__()
        bounded = low.isfinite() & high.isfinite()
        self.register_buffer("middle", th.where(bounded, (low + high) / 2, 0.0), persistent=False)
        self.register_buffer("half_range", th.where(bounded, (high - low) / 2, 1.0).clamp(min=1e-6), persistent=False)
        C = low.shape[-1]
        self.last = _small(Linear(in_size, C, n_agents=n_agents))
        self.initial = math.log(initial_std)
        if spread == "state":
            self.spread = _small(Linear(in_size, C, n_agents=n_agents))
        else:
            own = () if n_agents is None else (n_agents,)
            self.log_std = nn.Parameter(th.full((*own, C), self.initial))
        self.of_state = spread == "state"

    def forward(self, x: Tensor, available: Tensor | None = None) -> Gaussian:
        """Return the density of ``x (…, N, F)``."""
        log_std = (self.initial + self.spread(x)).clamp(LOWEST, HIGHEST) if self.of_state else self.log_std
        return Gaussian(self.middle + self.half_range * self.last(x), log_std + self.half_range.log(), available)


def make_head(
    action_space: Any,
    in_size: int,
    n_actions: int,
    spread: str = "fixed",
    initial_std: float = 0.5,
    n_agents: int | None = None,
) -> nn.Module:
    """Return the head for an action space (`envs.action_spaces`; its `kind`, `low` and `high`, or `sizes` are read).

    `n_actions` is W; `spread` and `initial_std` are for continuous actions; `n_agents` is given where each agent has
    parameters of its own.
    """
    match action_space.kind:
        case "discrete":
            return DiscreteHead(in_size, n_actions, n_agents)
        case "multidiscrete":
            return MultiDiscreteHead(in_size, action_space.sizes, n_agents)
        case "continuous":
            low, high = (th.as_tensor(bound, dtype=th.float32) for bound in (action_space.low, action_space.high))
            return GaussianHead(in_size, low, high, spread, initial_std, n_agents)
    raise ValueError(f"action space {action_space.kind!r}: discrete, continuous or multidiscrete")


def _small(layer: Linear) -> Linear:
    with th.no_grad():
        layer.weight.mul_(SMALL)
        layer.bias.zero_()
    return layer

