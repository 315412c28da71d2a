"""What a policy says of an agent's action: densities over discrete, continuous and multidiscrete actions.

All have the same verbs, on any leading axes ``…``, usually rows by agents:

    log_prob(actions (…, P)) -> (…)     log-probability (a density's, for numbers)
    entropy() -> (…)                    in nats
    sample() -> (…, P)                  drawn from Torch's generator, no gradient
    drawn(draws (…, D)) -> (…, P)       the same from given draws: uniform numbers in [0, 1), or standard normal ones
    mode() -> (…, P)                    the likeliest action
    probabilities() -> (…, W)           what to show: probabilities, or the means of numbers

P is 1 for a discrete action (int64), the number of parts of a multidiscrete one (int64), C for C numbers (float32).
What is not available has probability 0, so an agent's only action has log-probability 0, entropy 0, and no gradient.
"""
# ruff: noqa: D102  the verbs are described once, above

import math
from collections.abc import Sequence
from typing import Protocol

import torch as th
from torch import Tensor

NEVER = -1e10  # the logit of what is not available: finite, so that rows without any available action give no NaN
LOG_2_PI = math.log(2 * math.pi)


class Density(Protocol):
    """The verbs described above."""

    def log_prob(self, actions: Tensor) -> Tensor: ...

    def entropy(self) -> Tensor: ...

    def sample(self) -> Tensor: ...

    def drawn(self, draws: Tensor) -> Tensor: ...

    def mode(self) -> Tensor: ...

    def probabilities(self) -> Tensor: ...


def log_probabilities(logits: Tensor, available: Tensor | None) -> Tensor:
    """Return ``log π (…, A)`` of ``logits (…, A)``, with about ``NEVER`` where ``available (…, A)`` is False."""
    if available is not None:
        logits = logits.masked_fill(~available, NEVER)
    return logits.log_softmax(dim=-1)


def entropy(log_p: Tensor) -> Tensor:
    """Return ``-Σ p log p``, in nats: ``(…, A) -> (…)``."""
    return -(log_p.exp() * log_p).sum(dim=-1)


def by_inverse_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return the first index whose cumulated probability exceeds a uniform number: ``(…, A), (…) -> (…)`` int64.

    An index of probability 0 is never returned, nor is one missed because probabilities do not quite add up to 1.
    """
    cumulated = probabilities.double().cumsum(dim=-1)
    threshold = uniform.double().unsqueeze(-1) * cumulated[..., -1:]
    return (cumulated > threshold).to(th.uint8).argmax(dim=-1)


class Categorical:
    """One of A actions: ``π(a) ∝ exp(logits_a)`` over the available ones."""

    def __init__(self, logits: Tensor, available: Tensor | None = None) -> None:
        """Take ``logits (…, A)`` and ``available (…, A)`` bool; None for all."""
        self.log_p = log_probabilities(logits, available)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self.log_p.gather(-1, actions).squeeze(-1)

    def entropy(self) -> Tensor:
        return entropy(self.log_p)

    def sample(self) -> Tensor:
        """Draw by a race of exponential times, ``argmax p / e``: faster than `torch.multinomial`."""
        with th.no_grad():
            p = self.log_p.exp()
            return (p / th.empty_like(p).exponential_()).argmax(dim=-1, keepdim=True)

    def drawn(self, draws: Tensor) -> Tensor:
        return by_inverse_cdf(self.probabilities(), draws.squeeze(-1)).unsqueeze(-1)

    def mode(self) -> Tensor:
        return self.log_p.argmax(dim=-1, keepdim=True)

    def probabilities(self) -> Tensor:
        return self.log_p.detach().exp()


class Categoricals:
    """Several choices at once, independent of each other: P parts of A_1, …, A_P actions, W in all."""

    def __init__(self, logits: Tensor, available: Tensor | None, sizes: Sequence[int]) -> None:
        """Take ``logits (…, W)`` and ``available (…, W)``: those of the parts one after the other."""
        sizes = list(sizes)
        parts = logits.split(sizes, dim=-1)
        masks = [None] * len(sizes) if available is None else available.split(sizes, dim=-1)
        self.parts = [Categorical(part, mask) for part, mask in zip(parts, masks, strict=True)]

    def log_prob(self, actions: Tensor) -> Tensor:
        chosen = zip(self.parts, actions.split(1, dim=-1), strict=True)
        return sum(part.log_prob(action) for part, action in chosen)

    def entropy(self) -> Tensor:
        return sum(part.entropy() for part in self.parts)

    def sample(self) -> Tensor:
        return th.cat([part.sample() for part in self.parts], dim=-1)

    def drawn(self, draws: Tensor) -> Tensor:
        each = zip(self.parts, draws.split(1, dim=-1), strict=True)
        return th.cat([part.drawn(draw) for part, draw in each], dim=-1)

    def mode(self) -> Tensor:
        return th.cat([part.mode() for part in self.parts], dim=-1)

    def probabilities(self) -> Tensor:
        return th.cat([part.probabilities() for part in self.parts], dim=-1)


class Gaussian:
    """C independent numbers: ``a ~ N(μ, σ²)``. An agent's numbers that do not exist are 0 and count nowhere."""

    def __init__(self, mean: Tensor, log_std: Tensor, available: Tensor | None = None) -> None:
        """Take ``mean (…, C)``, ``log_std`` that broadcasts to it, and which numbers exist, (…, C) bool."""
        self.mean, self.log_std = mean, log_std.expand_as(mean)
        self.exists = None if available is None else available.to(mean.dtype)

    def _counted(self, x: Tensor) -> Tensor:
        return x if self.exists is None else x * self.exists

    def log_prob(self, actions: Tensor) -> Tensor:
        z = (actions - self.mean) * (-self.log_std).exp()
        return self._counted(-0.5 * (z.square() + LOG_2_PI) - self.log_std).sum(dim=-1)

    def entropy(self) -> Tensor:
        return self._counted(self.log_std + 0.5 * (1 + LOG_2_PI)).sum(dim=-1)

    def sample(self) -> Tensor:
        return self.drawn(th.randn_like(self.mean))

    def drawn(self, draws: Tensor) -> Tensor:
        return self._counted(self.mean + self.log_std.exp() * draws).detach()

    def mode(self) -> Tensor:
        return self._counted(self.mean).detach()

    def probabilities(self) -> Tensor:
        return self.mode()
