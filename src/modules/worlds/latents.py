"""Discrete latents: G categorical variables of C classes each, as in DreamerV2 (Hafner et al., 2021).

A distribution is given by logits (…, Z), ``Z = G·C``, of which come its probabilities ``p (…, G, C)``, for drawing, and
their logarithms, for a KL. A latent is G one-hots, ``(…, G, C)`` or, laid flat for networks, ``(…, Z)``.
"""

import math
from typing import Any

import torch as th
from torch import Tensor

from modules.worlds.softmax import log_softmax, softmax


def log_probabilities(logits: Tensor, classes: int, unimix: float = 0.0) -> Tensor:
    """Return the distributions that logits (…, Z) mean: (…, G, C), with a share `unimix` of the uniform one mixed in.

    The share (DreamerV3: 0.01) keeps every class possible, so that no KL grows without bound.
    """
    log_p = log_softmax(logits.unflatten(-1, (-1, classes)))
    if unimix == 0.0:
        return log_p
    uniform = log_p.new_full((), math.log(unimix / classes))
    return th.logaddexp(log_p + math.log1p(-unimix), uniform)


def probabilities(logits: Tensor, classes: int, unimix: float = 0.0) -> Tensor:
    """Return the same distributions' probabilities, (…, G, C)."""
    p = softmax(logits.unflatten(-1, (-1, classes)))
    return p if unimix == 0.0 else p.mul(1 - unimix).add(unimix / classes)


@th.no_grad()
def draw(p: Tensor, uniforms: Tensor | None = None) -> Tensor:
    """Draw one-hots (…, G, C) from probabilities ``p (…, G, C)``.

    The class is the first whose cumulated probability exceeds a number of `uniforms` (…, G) in [0, 1), so that the same
    numbers always give the same latent; without them Torch's generator draws, one number for each latent.
    """
    if uniforms is None:
        uniforms = th.rand(p.shape[:-1], dtype=p.dtype, device=p.device)
    below = p.cumsum(dim=-1)[..., :-1] <= uniforms.unsqueeze(-1)  # the last class takes what is left
    chosen = below.sum(dim=-1)
    return one_hot(chosen, p)


@th.no_grad()
def mode(p: Tensor) -> Tensor:
    """Return the most likely one-hots, (…, G, C)."""
    return one_hot(p.argmax(dim=-1), p)


def one_hot(chosen: Tensor, like: Tensor) -> Tensor:
    """Return the one-hots (…, C) of classes (…), with the dtype and the C of another tensor."""
    return th.zeros_like(like).scatter_(-1, chosen.unsqueeze(-1), 1.0)


class _StraightThrough(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, onehot: Tensor, p: Tensor) -> Tensor:
        return onehot.view_as(onehot)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


def straight_through(onehot: Tensor, p: Tensor) -> Tensor:
    """Return the one-hots as they are, with the gradient of the probabilities (Bengio et al., 2013): (…, Z)."""
    return _StraightThrough.apply(onehot, p).flatten(-2)


def kl(q: Tensor, p: Tensor) -> Tensor:
    """``KL[q ‖ p]`` of each categorical: two ``log_p (…, G, C) -> (…, G)``."""
    return (q.exp() * (q - p)).sum(dim=-1)


def entropy(log_p: Tensor) -> Tensor:
    """Entropy of each categorical in nats: (…, G, C) -> (…, G)."""
    return -(log_p.exp() * log_p).sum(dim=-1)


def latent_kl(q: Tensor, p: Tensor, over: str) -> Tensor:
    """``KL[q ‖ p] (…)`` of a latent, (…, G, C) each: its categoricals' sum (DreamerV2, V3), or with ``over="mean"``
    their mean (MAMBA's code).
    """
    return (th.sum if over == "sum" else th.mean)(kl(q, p), dim=-1)


def balanced_kl(
    q: Tensor, p: Tensor, to_prior: float, to_posterior: float, free_nats: float = 0.0, over: str = "sum"
) -> Tensor:
    """``β_dyn max(free, KL[sg q ‖ p]) + β_rep max(free, KL[q ‖ sg p])``, (…).

    Below `free_nats` no gradient passes; the stop-gradients stand on the distributions alone, so what they were
    computed from is still reached by the other.

    Args:
        q: posterior, (…, G, C).
        p: prior of the same latent, (…, G, C).
        to_prior: β_dyn, the weight of the term that trains the prior.
        to_posterior: β_rep, the weight of the term that trains the posterior.
        free_nats: what each term may keep.
        over: `sum` or `mean`, over G; see `latent_kl`.
    """
    dynamics, representation = latent_kl(q.detach(), p, over), latent_kl(q, p.detach(), over)
    return to_prior * dynamics.clamp(min=free_nats) + to_posterior * representation.clamp(min=free_nats)
