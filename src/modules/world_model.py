"""The world model of MMSA (§4.3, Fig. 2): two VAEs and SALE over the joint hidden state of the agents.

Built and tested without a learner. It never sees an observation: its data are the agents' hidden states ``h`` and the
joint actions. Which copy of the agents gives ``h``, and which losses train what, is the learner's affair.

Letters: N agents, A actions, H hidden size, E_s embedding size, L latent size per agent, D = N·L of the team, J rollout
horizon, K what VAE-2's decoder reads. ``…`` stands for any leading axes, usually (B, T).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.activations import Tanh, elu
from modules.linear import Linear, linear
from modules.precision import widened
from modules.sale import SALE, ActionLinear, Normaliser

MIN_STD = 0.01  # keeps log-densities and KL terms finite


class Gaussian(NamedTuple):
    """A diagonal Gaussian: `mean` and `std`, each (…, D)."""

    mean: Tensor
    std: Tensor

    def sample(self) -> Tensor:
        """Draw with the reparameterisation trick: gradients reach mean and std."""
        return self.mean + self.std * th.randn_like(self.std)

    def detach(self) -> "Gaussian":
        """Return the same distribution behind a stop-gradient."""
        return Gaussian(self.mean.detach(), self.std.detach())


Embeddings = dict[str, Tensor]  # what VAE-1 reads and gives: z_sa, z_s and phi, or phi alone, each (…, E_s)


def joined(embeddings: Embeddings) -> Tensor:
    """Return the embeddings as one vector, in their order: (…, 3 E_s), or (…, E_s) without SALE."""
    return th.cat(list(embeddings.values()), dim=-1)


def cheaper_as_one(x_size: int, between: int, out_size: int) -> bool:
    """Say whether two linear layers without a nonlinearity between them take fewer multiplications as one product.

    Where both ends grow with the number of agents and what is between them does not, one product grows with its square.
    """
    return x_size * out_size <= (x_size + out_size) * between


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Hold a module fixed: gradients of what it gives meanwhile pass through it, and train nothing in it."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


class Imagined(NamedTuple):
    """An imagined state: `s`, ``ŝ (…, D)``, and `told (…, K)`, what VAE-2's decoder is told of it."""

    s: Tensor
    told: Tensor


class Perceptron(nn.Module):
    """``x (…, X) -> V [ELU(U x + c), x] + b (…, out)``: a hidden layer beside a linear path.

    Hidden states and how they change are mostly linear in what they are told from; the linear path has that from the
    start, and leaves the rest to the hidden layer (docs/measurements/world-model.md).
    """

    def __init__(self, x_size: int, width: int, out_size: int) -> None:
        super().__init__()
        self.first, self.last = Linear(x_size, width), Linear(width + x_size, out_size)

    def on_input(self, out_size: int | None = None) -> tuple[Tensor, Tensor]:
        """Return what is linear in x, on both paths, as one layer: weight (width + out, X), bias (width + out).

        With `out_size`, of the first outputs alone. Its product is what `finish` takes.
        """
        width = self.first.out_features
        weight = th.cat([self.first.weight, self.last.weight[:out_size, width:]])
        return weight, th.cat([self.first.bias, self.last.bias[:out_size]])

    def finish(self, on_input: Tensor) -> Tensor:
        """Return the outputs (…, out) from what `on_input` gives (…, width + out)."""
        width = self.first.out_features
        hidden, direct = on_input.split([width, on_input.shape[-1] - width], dim=-1)
        return linear(elu(hidden), self.last.weight[: direct.shape[-1], :width]).add_(direct)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both paths."""
        return self.finish(linear(x, *self.on_input()))


class GaussianEncoder(Perceptron):
    """``x (…, X) -> N(mean, std²)`` of size D."""

    def __init__(self, x_size: int, width: int, out_size: int) -> None:
        super().__init__(x_size, width, 2 * out_size)
        self.out_size = out_size

    def forward(self, x: Tensor) -> Gaussian:
        """Return the distribution."""
        return self.distribution(linear(x, *self.on_input()))

    def distribution(self, on_input: Tensor) -> Gaussian:
        """Return the distribution from what `on_input` gives, widened; of D outputs, `finish` gives the mean."""
        mean, raw = widened(self.finish(on_input)).chunk(2, dim=-1)
        return Gaussian(mean, functional.softplus(raw.contiguous()) + MIN_STD)  # on columns it takes six times as long


class WorldModel(nn.Module):
    """Posterior VAE (VAE-2), SALE of the latent state, prior VAE (VAE-1), and imagination.

    Each switch is a place where the paper's text leaves a choice, see docs/mmsa.md:

    - `rollout_mode`: an imagined ŝ_{t+1} is ``latent``, the prior's latent, or ``decoded``, VAE-1's decoded ``z'^s``;
      then E_s is D, whatever `embed_size` says.
    - `history_from`: VAE-2's decoder reads ``latent``, ŝ, or ``embeddings``, all that VAE-1 gives.
    - `prior_change`: VAE-1's encoder gives the mean of how ŝ changes, so that untrained it foresees no change.
    - `per_agent`: VAE-2 is each agent's own, with shared weights and L latents, in place of the team's.
    - `sale`: VAE-1 reads SALE's embeddings, or ``φ^sa`` alone.
    - `sale_grad`: gradients pass through z^s and z^sa to ŝ, with f_s and g_s held fixed; else they stop there.
    - `normalise_phi`, `normalise_z_sa`: these embeddings too go through the normaliser, as z^s does.
    - `sample`: `draw` draws, or takes means.
    - `avail`: it predicts which actions are available, from imagined histories (MBVD).
    """

    def __init__(
        self,
        *,
        n_agents: int,
        n_actions: int,
        hidden_size: int,
        latent_size: int,
        embed_size: int,
        width: int,
        normaliser: str,
        rollout_mode: str,
        history_from: str,
        prior_change: bool,
        per_agent: bool,
        sale: bool,
        sale_grad: bool,
        normalise_phi: bool,
        normalise_z_sa: bool,
        sample: bool,
        avail: bool,
    ) -> None:
        super().__init__()
        N, D = n_agents, n_agents * latent_size
        E = D if rollout_mode == "decoded" else embed_size
        if rollout_mode == "decoded" and not sale:
            raise ValueError("rollout_mode=decoded takes z^s for the next latent, and without SALE there is none")
        if rollout_mode == "decoded" and prior_change:
            raise ValueError("wm_prior=change adds to ŝ; with rollout_mode=decoded that is VAE-1's own: take latent")
        self.n_agents, self.rollout_mode, self.history_from = N, rollout_mode, history_from
        self.prior_change = prior_change
        self.per_agent, self.sale_grad, self.sample = per_agent, sale_grad, sample
        self.embedded = ("z_sa", "z_s", "phi") if sale else ("phi",)
        read = len(self.embedded) * E
        told = read if history_from == "embeddings" else D
        if per_agent:
            told = read + N if history_from == "embeddings" else latent_size
            self.posterior_encoder = GaussianEncoder(hidden_size, width, latent_size)
            self.posterior_decoder = nn.Sequential(Perceptron(told, width, hidden_size), Tanh())
        else:
            self.posterior_encoder = GaussianEncoder(N * hidden_size, width, D)
            self.posterior_decoder = nn.Sequential(Perceptron(told, width, N * hidden_size), Tanh())
        self.sale = SALE(D, N, n_actions, E, normaliser) if sale else None
        self.phi = ActionLinear(D, N, n_actions, E)
        self.normalise_phi = Normaliser(normaliser if normalise_phi else "none", E)
        self.normalise_z_sa = Normaliser(normaliser if normalise_z_sa else "none", E)
        self.layers_in_one = not (sale_grad or normalise_phi or normalise_z_sa)
        self.prior_encoder = GaussianEncoder(read, width, D)
        self.prior_decoder = Perceptron(D, width, read)
        self.avail_decoder = Perceptron(hidden_size, width, n_actions) if avail else None

    def posterior(self, h: Tensor) -> Gaussian:
        """``q(ŝ_t | h_t)``: from ``h (…, N, H)``."""
        if not self.per_agent:
            return self.posterior_encoder(h.flatten(-2))
        mean, std = self.posterior_encoder(h)
        return Gaussian(mean.flatten(-2), std.flatten(-2))

    def decode_hidden(self, told: Tensor) -> Tensor:
        """VAE-2's decoder: `told` (…, K), ŝ or the embeddings, to ``h' (…, N, H)``, in (-1, 1) as a GRU's state is."""
        if not self.per_agent:
            return self.posterior_decoder(told).unflatten(-1, (self.n_agents, -1))
        if self.history_from == "latent":
            return self.posterior_decoder(told.unflatten(-1, (self.n_agents, -1)))
        N, leading = self.n_agents, told.shape[:-1]
        ids = th.eye(N, dtype=told.dtype, device=told.device).expand(*leading, N, N)
        return self.posterior_decoder(th.cat([told.unsqueeze(-2).expand(*leading, N, -1), ids], dim=-1))

    def available(self, h: Tensor) -> Tensor:
        """Predict which actions are available in ``h' (…, N, H)``: (…, N, A) bool; where that is none, all are."""
        predicted = self.avail_decoder(h) > 0
        return th.logical_or(predicted, ~predicted.any(dim=-1, keepdim=True))

    def embed(self, s: Tensor, actions: Tensor, sale: tuple[Tensor, Tensor] | None) -> Embeddings:
        """Embed ``ŝ (…, D)`` and the joint action (…, N) for VAE-1, which reads `sale`, ``z^s`` and ``z^sa``, besides.

        These come behind a stop-gradient, as in TD7, or with `sale_grad` are worked out anew so that gradients reach ŝ:
        either way only the SALE loss trains f_s and g_s. A model without SALE has None.
        """
        phi = self.normalise_phi(self.phi(s, actions))
        if self.sale is None:
            return {"phi": phi}
        z_s, z_sa = self._held_sale(s, actions) if self.sale_grad else (z.detach() for z in sale)
        return {"z_sa": self.normalise_z_sa(z_sa), "z_s": z_s, "phi": phi}

    def _held_sale(self, s: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z^s`` and ``z^sa``; gradients pass through f_s and g_s to ŝ, and do not train them."""
        with held(self.sale):
            return self.sale(s, actions)

    def prior(self, embeddings: Embeddings, s: Tensor) -> Gaussian:
        """``p(ŝ_{t+1} | z^sa_t, z^s_t, φ^sa_t)``, and of ``ŝ_t (…, D)`` itself with `prior_change`."""
        *fixed, phi = embeddings.values()
        weight, bias = self.prior_encoder.on_input()
        for_fixed, for_phi = self._by_embedding(weight)
        on_input = linear(phi, for_phi, bias)
        if fixed:  # a product of their own: without `sale_grad` no gradient is computed for them
            on_input += linear(th.cat(fixed, dim=-1), for_fixed)
        return self._changed(s, self.prior_encoder.distribution(on_input))

    def _changed(self, s: Tensor, prior: Gaussian) -> Gaussian:
        """Return the distribution of ŝ_{t+1}, from what VAE-1's encoder gives, of it or of the change from ``ŝ_t``."""
        return Gaussian(s + prior.mean, prior.std) if self.prior_change else prior

    def _by_embedding(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns of a weight of the prior's (O, X) for z^sa and z^s, none without SALE, and for φ^sa."""
        phi_size = self.phi.linear.out_features
        return weight[:, :-phi_size], weight[:, -phi_size:]

    def decode_embeddings(self, latent: Tensor) -> Embeddings:
        """VAE-1's decoder: its latent (…, D) to the embeddings."""
        parts = self.prior_decoder(latent).chunk(len(self.embedded), dim=-1)
        return dict(zip(self.embedded, parts, strict=True))

    def draw(self, distribution: Gaussian) -> Tensor:
        """Return a latent state of the distribution: a sample, or the mean with `sample=False`."""
        return distribution.sample() if self.sample else distribution.mean

    def imagined(self, latent: Tensor, outputs: Embeddings | None = None) -> Imagined:
        """Return the state that a latent of VAE-1 (…, D) stands for; `outputs`, its decoding, where it is there."""
        if self.rollout_mode == self.history_from == "latent":
            return Imagined(latent, latent)
        outputs = self.decode_embeddings(latent) if outputs is None else outputs
        s = outputs["z_s"] if self.rollout_mode == "decoded" else latent
        return Imagined(s, joined(outputs) if self.history_from == "embeddings" else s)

    def step(self, s: Tensor, actions: Tensor, draw: bool) -> Imagined:
        """Imagine one transition from ``ŝ_t (…, D), â_t (…, N)``; VAE-1's latent is drawn, or the mean."""
        encoder = self.prior_encoder
        if not self.layers_in_one:
            prior = self.prior(self.embed(s, actions, self._sale_without_gradient(s, actions)), s)
            latent = prior.sample() if draw else prior.mean
        elif draw:
            given = encoder.distribution(self._on_prior_input(s, actions, *encoder.on_input()))
            latent = self._changed(s, given).sample()
        else:
            latent = encoder.finish(self._on_prior_input(s, actions, *encoder.on_input(encoder.out_size)))
            latent = s + latent if self.prior_change else latent
        return self.imagined(latent)

    @th.no_grad()
    def _sale_without_gradient(self, s: Tensor, actions: Tensor) -> tuple[Tensor, Tensor] | None:
        return None if self.sale is None or self.sale_grad else self.sale(s, actions)

    def _on_prior_input(self, s: Tensor, actions: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply the prior's layer `weight (O, X), bias` to the embeddings of ŝ and â, which nobody asks for: (…, O).

        Layers that follow each other without a nonlinearity are one product: φ with `weight`'s part for it, unless the
        team is large, and g's third layer with the part for z^sa. Gradients stop where they do in `embed`.
        """
        phi = self.phi.linear
        for_fixed, for_phi = self._by_embedding(weight)
        if cheaper_as_one(phi.in_features, phi.out_features, len(weight)):
            on_input = linear(self.phi.inputs(s, actions), for_phi @ phi.weight, bias + for_phi @ phi.bias)
        else:
            on_input = linear(self.phi(s, actions), for_phi, bias)
        if self.sale is None:
            return on_input
        with th.no_grad():
            z_s = self.sale.f(s)
            before_third = self.sale.g.before_third(z_s, actions)
        for_za, for_z = for_fixed.chunk(2, dim=1)
        third = self.sale.g.third
        joined = th.cat([for_za @ third.weight.detach(), for_z], dim=1)
        on_input += linear(th.cat([before_third, z_s], dim=-1), joined, for_za @ third.bias.detach())
        return on_input

    def imagine(
        self, s: Tensor, actions: Tensor, policy: Callable[[Tensor], Tensor], horizon: int, draw: bool
    ) -> Tensor:
        """Roll out J steps from every starting point at once.

        Args:
            s: ``ŝ_t (…, D)``, latents of the posterior.
            actions: ``â_t (…, N)`` int64, what the agents do at the starting points.
            policy: imagined hidden states ``h' (…, N, H)`` to the agents' actions (…, N); no gradient is asked of it.
            horizon: J.
            draw: draw imagined latents; else take means.

        Returns:
            ``ŝ_t … ŝ_{t+J}``, (…, J+1, D).
        """
        latents = [s]
        for j in range(1, horizon + 1):
            imagined = self.step(latents[-1], actions, draw)
            latents.append(imagined.s)
            if j < horizon:
                with th.no_grad():
                    actions = policy(self.decode_hidden(imagined.told))
        return th.stack(latents).movedim(0, -2)
