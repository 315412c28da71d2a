"""The losses of MMSA as free functions (§4.4): means over valid steps, as weighted sums.

Letters: B episodes, T steps, D latent size; a learner has rows in place of (B, T). Weights are (B, T) float: one over
the number of steps that count, 0 where a step does not. Sums over parts of a batch then add up to the batch's mean.
"""

from typing import Any

import torch as th
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from modules.precision import widened
from modules.world_model import Embeddings, Gaussian


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return ``Σ w x`` of ``values (B, T)`` and ``weights (B, T)``. Shapes must agree: nothing is stretched."""
    assert values.shape == weights.shape, (values.shape, weights.shape)
    return (values * weights).sum()


def squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over steps of the mean squared error over the axes after (B, T); bfloat16 is widened."""
    errors = (widened(prediction) - widened(target)).square()
    return weighted_sum(errors.flatten(weights.dim()).mean(dim=-1), weights)


def gaussian_kl(p: Gaussian, q: Gaussian) -> Tensor:
    """``KL[p ‖ q]`` of diagonal Gaussians, summed over the last axis: (…, D) -> (…)."""
    return _SharedKL.apply(*p, *q, 1.0, 1.0)


def kl_to_standard_normal(p: Gaussian) -> Tensor:
    """``KL[p ‖ N(0, I)]``: (…, D) -> (…)."""
    return (0.5 * (p.std.square() + p.mean.square() - 1) - p.std.log()).sum(dim=-1)


def balanced_kl(posterior: Gaussian, prior: Gaussian, alpha: float | None) -> Tensor:
    """``α KL[q ‖ sg p] + (1 - α) KL[sg q ‖ p]`` (§4.4, KL balancing): (…, D) -> (…).

    The value is KL[q ‖ p] whatever α; α is the share of the gradient that the posterior gets. None does not balance:
    both get all of it.
    """
    shares = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return _SharedKL.apply(*posterior, *prior, *shares)


class _SharedKL(th.autograd.Function):
    """``KL[q ‖ p]``, of whose gradient either side gets a share: worked out once, and not once for each side."""

    @staticmethod
    def forward(
        ctx: Any, q_mean: Tensor, q_std: Tensor, p_mean: Tensor, p_std: Tensor, q_share: float, p_share: float
    ) -> Tensor:
        per_std = p_std.reciprocal()
        ratio, apart = q_std * per_std, (q_mean - p_mean).mul_(per_std)
        squares = ratio.square().addcmul_(apart, apart)
        ctx.save_for_backward(per_std, ratio, apart, squares)
        ctx.shares = q_share, p_share
        return squares.sub(1).mul_(0.5).sub_(ratio.log()).sum(dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        per_std, ratio, apart, squares = ctx.saved_tensors
        q_share, p_share = ctx.shares
        scale = grad.unsqueeze(-1) * per_std
        for_mean = apart * scale
        for_q_std = (ratio - ratio.reciprocal()).mul_(scale)
        for_p_std = scale.addcmul_(squares, scale, value=-1)
        return q_share * for_mean, for_q_std.mul_(q_share), for_mean.mul_(-p_share), for_p_std.mul_(p_share), None, None


def kl_loss(
    posterior: Gaussian, prior: Gaussian, weights: Tensor, alpha: float | None, normal_coef: float, reduction: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """``L_KL = κ KL[p ‖ N(0, I)] + balanced KL[q ‖ p]`` (§4.4), and its two parts by name in nats.

    κ, `normal_coef`, is 1 in the paper. There p has to be near N(0, I) as much as near q, and so foresees next to
    nothing (docs/measurements/world-model.md).

    `reduction` ``sum`` is the divergence itself; ``mean`` divides it by D, because the other losses are means too:
    summed, L_KL outweighs L_REC by D and the posterior collapses.

    `posterior` and `prior` speak of the same ŝ_{t+1}, (B, T, D); `weights (B, T)` are those of the pairs (t, t+1).
    """
    parts = {
        "kl_prior_normal": weighted_sum(kl_to_standard_normal(prior), weights),
        "kl_posterior_prior": weighted_sum(balanced_kl(posterior, prior, alpha), weights),
    }
    dimensions = prior.mean.shape[-1] if reduction == "mean" else 1
    return (normal_coef * parts["kl_prior_normal"] + parts["kl_posterior_prior"]) / dimensions, parts


def reconstruction_losses(decoded: Embeddings, embeddings: Embeddings, weights: Tensor) -> dict[str, Tensor]:
    """Return the terms of ``L_REC`` (§4.4) that are VAE-1's, by name: the mean squared errors of its outputs.

    Args:
        decoded: VAE-1's outputs, each (B, T, E_s).
        embeddings: what they should be; a caller that wants no gradient through them detaches them.
        weights: (B, T), those of the steps whose embeddings exist.
    """
    return {f"rec_{name}": squared_error(decoded[name], target, weights) for name, target in embeddings.items()}


def history_loss(h_decoded: Tensor, h: Tensor, weights: Tensor) -> Tensor:
    """``MSE(h, h')`` (§4.4, the fourth term of L_REC): VAE-2's h' against the agents' h, each (B, T, N, H).

    The agents' histories are constants here: θ, which L_REC trains, is the model's.
    """
    return squared_error(h_decoded, h.detach(), weights)


def avail_loss(logits: Tensor, avail: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of `avail` (B, T, N, A) bool to its logits, and the share that they tell right.

    Both are weighted sums over steps of means over agents and actions; `weights (B, T)`.
    """
    errors = functional.binary_cross_entropy_with_logits(widened(logits), avail.float(), reduction="none")
    right = ((logits > 0) == avail).float()
    return weighted_sum(errors.mean(dim=(-2, -1)), weights), weighted_sum(right.mean(dim=(-2, -1)), weights)


def sale_loss(z_sa: Tensor, z_s_next: Tensor, weights: Tensor) -> Tensor:
    """``L(f, g) = (z^sa_t - sg z^s_{t+1})²`` (§4.4): each (B, T, …, E); `weights (B, T)` of the pairs (t, t+1)."""
    return squared_error(z_sa, z_s_next.detach(), weights)


def td_loss(q_taken: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """``L_TD = (sg y - Q)²`` (§4.4): (B, T, X) each; the weighted sum over steps of the mean over X."""
    return squared_error(q_taken, targets.detach(), weights)
