"""The losses of MMSA as free functions (§4.4): means over valid steps, as weighted sums.

Letters: B episodes, T steps, D latent size; a learner has rows in place of (B, T). Weights are (B, T) float: one over
the number of steps that count, 0 where a step does not. Sums over parts of a batch then add up to the batch's mean.
"""

from torch import Tensor

from modules.world_model import Embeddings, Gaussian


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return ``Σ w x`` of ``values (B, T)`` and ``weights (B, T)``. Shapes must agree: nothing is stretched."""
    assert values.shape == weights.shape, (values.shape, weights.shape)
    return (values * weights).sum()


def squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over steps of the mean squared error over the axes after (B, T)."""
    return weighted_sum((prediction - target).square().flatten(weights.dim()).mean(dim=-1), weights)


def gaussian_kl(p: Gaussian, q: Gaussian) -> Tensor:
    """``KL[p ‖ q]`` of diagonal Gaussians, summed over the last axis: (…, D) -> (…)."""
    ratio = p.std / q.std
    return (0.5 * (ratio.square() + ((p.mean - q.mean) / q.std).square() - 1) - ratio.log()).sum(dim=-1)


def kl_to_standard_normal(p: Gaussian) -> Tensor:
    """``KL[p ‖ N(0, I)]``: (…, D) -> (…)."""
    return (0.5 * (p.std.square() + p.mean.square() - 1) - p.std.log()).sum(dim=-1)


def balanced_kl(posterior: Gaussian, prior: Gaussian, alpha: float | None) -> Tensor:
    """``α KL[q ‖ sg p] + (1 - α) KL[sg q ‖ p]`` (§4.4, KL balancing): (…, D) -> (…).

    The value is KL[q ‖ p] whatever α; α is the share of the gradient that the posterior gets. None does not balance:
    both get all of it.
    """
    if alpha is None:
        return gaussian_kl(posterior, prior)
    to_posterior = gaussian_kl(posterior, prior.detach())
    to_prior = gaussian_kl(posterior.detach(), prior)
    return alpha * to_posterior + (1 - alpha) * to_prior


def kl_loss(
    posterior: Gaussian, prior: Gaussian, weights: Tensor, alpha: float | None, normal_coef: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """``L_KL = κ KL[p ‖ N(0, I)] + balanced KL[q ‖ p]`` per latent dimension, and its two parts by name in nats.

    κ, `normal_coef`, is 1 in the paper (§4.4). There p has to be near N(0, I) as much as near q, and so foresees next
    to nothing (docs/world-model.md).

    Divided by D because the other losses are means too: summed, L_KL would outweigh L_REC by D and the posterior
    would collapse.

    `posterior` and `prior` speak of the same ŝ_{t+1}, (B, T, D); `weights (B, T)` are those of the pairs (t, t+1).
    """
    parts = {
        "kl_prior_normal": weighted_sum(kl_to_standard_normal(prior), weights),
        "kl_posterior_prior": weighted_sum(balanced_kl(posterior, prior, alpha), weights),
    }
    D = prior.mean.shape[-1]
    return (normal_coef * parts["kl_prior_normal"] + parts["kl_posterior_prior"]) / D, parts


def reconstruction_losses(
    decoded: Embeddings, embeddings: Embeddings, weights: Tensor, h_decoded: Tensor, h: Tensor, h_weights: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """``L_REC`` (§4.4) in two: the mean squared errors of VAE-1's outputs, and of VAE-2's h'; and its parts by name.

    The targets stand behind a stop-gradient: what is to be reconstructed must not move to be easier.

    Args:
        decoded: VAE-1's outputs, each (B, T, E_s).
        embeddings: what they should be.
        weights: (B, T), those of the steps whose embeddings exist.
        h_decoded: VAE-2's output h' (B, T', N, H).
        h: hidden states (B, T', N, H).
        h_weights: (B, T'), those of the steps whose hidden states exist.
    """
    parts = {
        f"rec_{name}": squared_error(decoded[name], target.detach(), weights) for name, target in embeddings.items()
    }
    embedded = sum(parts.values())
    parts["rec_h"] = squared_error(h_decoded, h.detach(), h_weights)
    return embedded, parts["rec_h"], parts


def sale_loss(z_sa: Tensor, z_s_next: Tensor, weights: Tensor) -> Tensor:
    """``L(f, g) = (z^sa_t - sg z^s_{t+1})²`` (§4.4): each (B, T, …, E); `weights (B, T)` of the pairs (t, t+1)."""
    return squared_error(z_sa, z_s_next.detach(), weights)


def td_loss(q_taken: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """``L_TD = (sg y - Q)²`` (§4.4): (B, T, X) each; the weighted sum over steps of the mean over X."""
    return squared_error(q_taken, targets.detach(), weights)
