"""Targets of temporal-difference learning, as free functions.

Letters: B episodes, T transitions, and X for what follows: nothing after mixing, N agents without a mixer.
Off by one, once and for all: ``values[:, t]`` belongs to the state *before* action t, so there are T+1 of them, and
transition t leads from ``values[:, t]`` to ``values[:, t + 1]``.
"""

import torch as th
from torch import Tensor


def greedy_actions(q: Tensor, avail_actions: Tensor) -> Tensor:
    """Return the best available action: ``q (…, A), avail (…, A) bool -> (…)`` int64.

    Rows of padding have no available action; they give action 0, and no loss reads them.
    """
    return q.masked_fill(~avail_actions, -th.inf).argmax(dim=-1)


def pick(q: Tensor, actions: Tensor) -> Tensor:
    """Return the values of given actions: ``q (…, A), actions (…) int64 -> (…)``."""
    return q.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def share_changed(q: Tensor, other_q: Tensor, avail_actions: Tensor) -> Tensor:
    """Return the share of rows, scalar, in which two sets of values have another best action; 0 where nobody chooses.

    ``q, other_q (…, A), avail (…, A) bool``. Only rows with more than one available action count.
    """
    choosing = avail_actions.sum(dim=-1) > 1
    changed = greedy_actions(q, avail_actions) != greedy_actions(other_q, avail_actions)
    return (changed & choosing).sum() / choosing.sum().clamp(min=1)


def td_lambda_targets(
    rewards: Tensor, terminated: Tensor, mask: Tensor, next_values: Tensor, gamma: float, td_lambda: float
) -> Tensor:
    """Return λ-returns, (B, T, …): MMSA's ``y^tot`` for λ = 0, PyMARL2's QMIX target for λ = 0.6.

    ``G_t = r_t + γ (1 - d_t) [(1 - λ) V_{t+1} + λ G_{t+1}]``, with ``V_{t+1}`` in place of ``G_{t+1}`` after an
    episode's last transition. An episode that stops at its time limit has d_t = 0 there, so it bootstraps.

    Args:
        rewards: (B, T, 1 or N).
        terminated: (B, T, 1) float, d_t: 1 where the task ended with transition t.
        mask: (B, T, 1) float, 1 where transition t took place.
        next_values: (B, T, X), ``V_{t+1}``.
        gamma: discount γ.
        td_lambda: λ in [0, 1].
    """
    # G_t = base_t + weight_t G_{t+1}, one operation a step; λ counts where transition t+1 took place.
    lambdas = td_lambda * th.cat([mask[:, 1:], th.zeros_like(mask[:, :1])], dim=1)
    discounts = gamma * (1 - terminated)
    base = (rewards + discounts * (1 - lambdas) * next_values).transpose(0, 1).contiguous()
    weight = (discounts * lambdas).transpose(0, 1).contiguous()
    for t in reversed(range(len(base) - 1)):
        base[t].addcmul_(weight[t], base[t + 1])
    return base.transpose(0, 1)


def continues(terminated: Tensor, mask: Tensor, truncation: str) -> Tensor:
    """Return c_t ``(B, T, 1)`` float: 0 where nothing is to be hoped for after transition t, 1 elsewhere.

    Args:
        terminated: (B, T, 1) bool, whether the task ended with transition t.
        mask: (B, T, 1) float, 1 where transition t took place.
        truncation: how an episode that was cut off is looked at: ``bootstrap``, which goes on behind its last row, or
            ``end``, as if the task had ended there.
    """
    goes_on = (~terminated).float()
    if truncation == "end":
        goes_on = goes_on * th.cat([mask[:, 1:], th.zeros_like(mask[:, :1])], dim=1)
    return goes_on
