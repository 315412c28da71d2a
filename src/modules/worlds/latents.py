"""Discrete latents: G categorical variables of C classes each, as in DreamerV2 (Hafner et al., 2021).

A distribution is the logarithm of its probabilities ``log_p (…, G, C)``; a latent is G one-hots, ``(…, G, C)`` or, laid
flat for networks, ``(…, Z)`` with ``Z = G·C``.
"""

import math

import torch as th
from torch import Tensor


def log_probabilities(logits: Tensor, classes: int, unimix: float = 0.0) -> Tensor:
    """Return the distributions that logits (…, Z) mean: (…, G, C), with a share `unimix` of the uniform one mixed in.

    The share (DreamerV3: 0.01) keeps every class possible, so that no KL grows without bound.
    """
    log_p = logits.unflatten(-1, (-1, classes)).log_softmax(dim=-1)
    if unimix == 0.0:
        return log_p
    uniform = log_p.new_full((), math.log(unimix / classes))
    return th.logaddexp(log_p + math.log1p(-unimix), uniform)


@th.no_grad()
def draw(log_p: Tensor, uniforms: Tensor | None = None) -> Tensor:
    """Draw one-hots (…, G, C) from ``log_p (…, G, C)``.

    With `uniforms` (…, G) in [0, 1) the class is the first whose cumulated probability exceeds the number, so that the
    same numbers always give the same latent; without, Torch's generator draws, by a race of exponentials: the class
    with the smallest ``e / p`` wins, which is faster than `torch.multinomial`.
    """
    if uniforms is None:
        chosen = (log_p.exp() / th.empty_like(log_p).exponential_()).argmax(dim=-1)
    else:
        below = log_p.exp().cumsum(dim=-1)[..., :-1] <= uniforms.unsqueeze(-1)  # the last class takes what is left
        chosen = below.sum(dim=-1)
    return one_hot(chosen, log_p)


@th.no_grad()
def mode(log_p: Tensor) -> Tensor:
    """Return the most likely one-hots, (…, G, C)."""
    return one_hot(log_p.argmax(dim=-1), log_p)


def one_hot(chosen: Tensor, like: Tensor) -> Tensor:
    """Return the one-hots (…, C) of classes (…), with the dtype and the C of another tensor."""
    return th.zeros_like(like).scatter_(-1, chosen.unsqueeze(-1), 1.0)


def straight_through(onehot: Tensor, log_p: Tensor) -> Tensor:
    """Return the one-hots as they are, with the gradient of the probabilities (Bengio et al., 2013): (…, Z)."""
    p = log_p.exp()
    return (onehot + p - p.detach()).flatten(-2)


def kl(q: Tensor, p: Tensor) -> Tensor:
    """``KL[q ‖ p]`` of each categorical: two ``log_p (…, G, C) -> (…, G)``."""
    return (q.exp() * (q - p)).sum(dim=-1)


def entropy(log_p: Tensor) -> Tensor:
    """Entropy of each categorical in nats: (…, G, C) -> (…, G)."""
    return -(log_p.exp() * log_p).sum(dim=-1)


def balanced_kl(
    q: Tensor, p: Tensor, to_prior: float, to_posterior: float, free_nats: float = 0.0, over: str = "sum"
) -> tuple[Tensor, Tensor]:
    """``β_dyn max(free, KL[sg q ‖ p]) + β_rep max(free, KL[q ‖ sg p])`` and the KL itself, each (…).

    The KL of a latent is the sum of its categoricals' (DreamerV2, V3), or with ``over="mean"`` their mean (MAMBA's
    code). Below `free_nats` no gradient passes; the stop-gradients stand on the distributions alone, so what they were
    computed from is still reached by the other.

    Args:
        q: posterior, (…, G, C).
        p: prior of the same latent, (…, G, C).
        to_prior: β_dyn, the weight of the term that trains the prior.
        to_posterior: β_rep, the weight of the term that trains the posterior.
        free_nats: what each term may keep.
        over: `sum` or `mean`, over G.
    """
    reduce = th.sum if over == "sum" else th.mean
    dynamics, representation = (reduce(kl(*pair), dim=-1) for pair in ((q.detach(), p), (q, p.detach())))
    loss = to_prior * dynamics.clamp(min=free_nats) + to_posterior * representation.clamp(min=free_nats)
    return loss, dynamics.detach()
