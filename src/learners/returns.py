"""Advantages and returns of policy gradients, as free functions.

Letters: B episodes, segments or imagined trajectories, T transitions, and X for what a value speaks of: N agents, or 1.
Off by one as in `learners.targets`: ``values[:, t]`` belongs to the state *before* action t, so there are T+1 of them,
and transition t leads from ``values[:, t]`` to ``values[:, t + 1]``.
"""

import torch as th
from torch import Tensor

EPS = 1e-5  # what is added to the standard deviation of advantages


def gae(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float, lam: float, mask: Tensor | None = None
) -> Tensor:
    """Return advantages ``(B, T, X)`` (Schulman et al., «Generalized Advantage Estimation», 2016, eq. 16).

    ``δ_t = r_t + γ c_t v_{t+1} - v_t`` and ``A_t = δ_t + γ λ c_t A_{t+1}``, with nothing after the last transition.
    The λ-returns, what a critic is to learn, are ``A + values[:, :-1]``. No gradient is kept.

    Args:
        rewards: (B, T, 1 or X), r_t, what arrives with transition t.
        values: (B, T+1, X), v_t on the rewards' scale: normalised ones are brought back before.
        continues: (B, T, 1 or X) float, c_t: 0 where the task ended with transition t, so that no value follows; a
            model's may lie between.
        gamma: discount γ.
        lam: λ in [0, 1]: 0 gives δ, 1 the return less the value.
        mask: (B, T, 1) float, 1 where transition t took place; None for all. What lies elsewhere reaches no advantage
            of a transition that took place, and an episode that was cut off bootstraps from the row it led to.
    """
    with th.no_grad():
        discounts = gamma * continues
        advantages = (rewards + discounts * values[:, 1:] - values[:, :-1]).transpose(0, 1).contiguous()
        weights = lam * discounts
        if mask is not None:
            weights = weights * th.cat([mask[:, 1:], th.zeros_like(mask[:, :1])], dim=1)
        weights = weights.transpose(0, 1).contiguous()
        for t in reversed(range(len(advantages) - 1)):
            advantages[t].addcmul_(weights[t], advantages[t + 1])
        return advantages.transpose(0, 1)


def normalised(advantages: Tensor, weights: Tensor) -> Tensor:
    """Return advantages less their mean, over their standard deviation, both over what counts; 0 where nothing does.

    Shapes are the same; `weights` are those of a mean: 0 for what does not count, and a sum of 1.
    """
    mean = (weights * advantages).sum()
    deviation = advantages - mean
    std = (weights * deviation.square()).sum().sqrt()
    return th.where(weights > 0, deviation / (std + EPS), 0.0)


def explained_variance(values: Tensor, returns: Tensor, weights: Tensor) -> Tensor:
    """Return ``1 - Var[G - v] / Var[G]`` over what counts: 1 for a critic that knows, 0 for one that says the mean."""

    def variance(x: Tensor) -> Tensor:
        return (weights * (x - (weights * x).sum()).square()).sum()

    return 1 - variance(returns - values) / variance(returns).clamp(min=1e-8)


def choosing(available: Tensor, parts: int, kind: str) -> Tensor:
    """Return ``(…)`` float: 1 where an agent has a choice; ``available (…, W)``. An agent that is dead has none.

    `parts` are the numbers P of an action of the given kind of action space.
    """
    count = available.sum(dim=-1)
    return (count > (0 if kind == "continuous" else parts)).float()


def mean_weights(counted: Tensor) -> Tensor:
    """Return the weights of a mean over what counts: ``counted`` (1 or 0) over its sum, or zeros where nothing does."""
    return counted / counted.sum().clamp(min=1)
