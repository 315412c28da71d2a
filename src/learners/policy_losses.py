"""The losses of policy gradients, as free functions: of real experience and of imagined.

All take tensors of one shape, usually rows by agents, and `weights` of that shape: those of a mean, 0 for what does not
count, and a sum of 1. Losses are to be minimised.
"""

import torch as th
from torch import Tensor

from learners.losses import weighted_sum


def ppo_policy_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, weights: Tensor, clip: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """``L = -E[min(ρ A, clamp(ρ, 1 - ε, 1 + ε) A)]`` with ``ρ = π(a) / π_old(a)`` (Schulman et al., PPO, 2017, eq. 7).

    With ``clip = inf`` and π = π_old its gradient is the policy gradient's, ``-E[A ∇ log π(a)]``, that of A2C.

    Args:
        log_prob: ``log π(a)`` of the actions taken.
        old_log_prob: the same of the policy that took them; no gradient is asked of it.
        advantages: A, likewise.
        weights: see above.
        clip: ε.

    Returns:
        The loss, and by name: `ratio_clipped`, the share of ρ outside of the bounds; `approx_kl`, an estimate of
        ``KL[π_old ‖ π]`` in nats, ``E[ρ - 1 - log ρ]``.
    """
    log_ratio = log_prob - old_log_prob.detach()
    ratio, advantages = log_ratio.exp(), advantages.detach()
    surrogate = th.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    with th.no_grad():
        metrics = {
            "ratio_clipped": weighted_sum(((ratio - 1).abs() > clip).float(), weights),
            "approx_kl": weighted_sum(ratio - 1 - log_ratio, weights),
        }
    return -weighted_sum(surrogate, weights), metrics


def value_loss(
    values: Tensor,
    targets: Tensor,
    weights: Tensor,
    old_values: Tensor | None = None,
    clip: float | None = None,
    huber: float | None = None,
) -> Tensor:
    """``L = E[max(l(G - v), l(G - v_clip))]`` with ``v_clip = v_old + clamp(v - v_old, -ε, ε)``, or ``E[l(G - v)]``.

    Args:
        values: v.
        targets: G, no gradient is asked of them.
        weights: see above.
        old_values: v_old, needed with `clip`: what the critic said before the update.
        clip: ε (PPO's value clipping: Engstrom et al., «Implementation Matters», 2020, §3); None does not clip.
        huber: δ of Huber's loss, ``l(e) = e²/2`` up to δ, and ``δ (|e| - δ/2)`` beyond; None squares throughout.
    """
    targets = targets.detach()
    loss = _half_square(targets - values, huber)
    if clip is not None:
        near = old_values.detach() + (values - old_values.detach()).clamp(-clip, clip)
        loss = th.maximum(loss, _half_square(targets - near, huber))
    return weighted_sum(loss, weights)


def _half_square(error: Tensor, huber: float | None) -> Tensor:
    if huber is None:
        return 0.5 * error.square()
    size = error.abs()
    return th.where(size <= huber, 0.5 * error.square(), huber * (size - 0.5 * huber))


def counterfactual_advantages(q: Tensor, probabilities: Tensor, actions: Tensor) -> Tensor:
    """``A_i = Q(s, a) - Σ_a' π_i(a') Q(s, (a_-i, a'))`` (COMA, Foerster et al., AAAI 2018, eq. 4), without a gradient.

    Args:
        q: (…, A), Q of each of one agent's actions given the others'.
        probabilities: (…, A), π_i, 0 where an action is not available.
        actions: (…, 1) int64, the one taken.
    """
    with th.no_grad():
        return q.gather(-1, actions).squeeze(-1) - (probabilities * q).sum(dim=-1)
