"""The world model of MMSA (§4.3, Fig. 2): two VAEs and SALE over the joint hidden state of the agents.

Built and tested without a learner. It never sees an observation: its data are the agents' hidden states ``h`` and the
joint actions. Which copy of the agents gives ``h``, and which losses train what, is the learner's affair.

Letters: N agents, A actions, H hidden size, E_s embedding size, D = N·L latent size of the team, J rollout horizon.
``…`` stands for any leading axes, usually (B, T).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.activations import Tanh, elu
from modules.linear import Linear, linear
from modules.sale import SALE, ActionLinear

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


Embeddings = dict[str, Tensor]  # what VAE-1 reads and reconstructs: z_sa, z_s and phi, or phi alone, each (…, E_s)


class Perceptron(nn.Module):
    """``x (…, X) -> V [ELU(U x + c), x] + b (…, out)``: a hidden layer beside a linear path.

    Hidden states and how they change are mostly linear in what they are told from; the linear path has that from the
    start, and leaves the rest to the hidden layer (docs/world-model.md).
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
        """Return the distribution from what `on_input` gives; of the first D outputs, `finish` gives the mean."""
        mean, raw = self.finish(on_input).chunk(2, dim=-1)
        return Gaussian(mean, functional.softplus(raw) + MIN_STD)


class WorldModel(nn.Module):
    """Posterior VAE (VAE-2), SALE of the latent state, prior VAE (VAE-1), and imagination.

    `rollout_mode` says what an imagined ŝ_{t+1} is: ``latent``, the prior's latent, or ``decoded``, VAE-1's decoded
    ``z'^s`` (§4.3 literally; needs E_s = D). `sale` says whether VAE-1 reads SALE's embeddings, or ``φ^sa`` alone;
    `sample` whether `draw` draws or takes means.
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
        sale: bool,
        sample: bool,
    ) -> None:
        super().__init__()
        D = n_agents * latent_size
        if rollout_mode == "decoded" and embed_size != D:
            raise ValueError(f"rollout_mode=decoded needs E_s = D, and {embed_size} is not {D}")
        if rollout_mode == "decoded" and not sale:
            raise ValueError("rollout_mode=decoded takes z^s for the next latent, and without SALE there is none")
        self.n_agents, self.rollout_mode, self.sample = n_agents, rollout_mode, sample
        self.posterior_encoder = GaussianEncoder(n_agents * hidden_size, width, D)
        self.posterior_decoder = nn.Sequential(Perceptron(D, width, n_agents * hidden_size), Tanh())
        self.sale = SALE(D, n_agents, n_actions, embed_size, normaliser) if sale else None
        self.embedded = ("z_sa", "z_s", "phi") if sale else ("phi",)
        self.phi = ActionLinear(D, n_agents, n_actions, embed_size)
        read = len(self.embedded) * embed_size
        self.prior_encoder = GaussianEncoder(read, width, D)
        self.prior_decoder = Perceptron(D, width, read)

    def posterior(self, h: Tensor) -> Gaussian:
        """``q(ŝ_t | h_t)``: from ``h (…, N, H)``."""
        return self.posterior_encoder(h.flatten(-2))

    def decode_hidden(self, s: Tensor) -> Tensor:
        """VAE-2's decoder: ``ŝ (…, D) -> h' (…, N, H)``, in (-1, 1) as a GRU's state is."""
        return self.posterior_decoder(s).unflatten(-1, (self.n_agents, -1))

    def embed(self, s: Tensor, actions: Tensor, sale: tuple[Tensor, Tensor] | None) -> Embeddings:
        """Embed ``ŝ (…, D)`` and the joint action (…, N) for VAE-1, which reads `sale`, ``z^s`` and ``z^sa``, besides.

        These come behind a stop-gradient: only the SALE loss trains f_s and g_s, as in TD7. A model without SALE has
        None.
        """
        phi = self.phi(s, actions)
        if sale is None:
            return {"phi": phi}
        z_s, z_sa = sale
        return {"z_sa": z_sa.detach(), "z_s": z_s.detach(), "phi": phi}

    def prior(self, embeddings: Embeddings) -> Gaussian:
        """``p(ŝ_{t+1} | z^sa_t, z^s_t, φ^sa_t)``."""
        *fixed, phi = embeddings.values()
        weight, bias = self.prior_encoder.on_input()
        for_fixed, for_phi = self._by_embedding(weight)
        on_input = linear(phi, for_phi, bias)
        if fixed:  # a product of their own: no gradient is computed for them
            on_input += linear(th.cat(fixed, dim=-1), for_fixed)
        return self.prior_encoder.distribution(on_input)

    def _by_embedding(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns of a weight of the prior's (O, X) for z^sa and z^s, none without SALE, and for φ^sa."""
        phi_size = self.phi.linear.out_features
        return weight[:, :-phi_size], weight[:, -phi_size:]

    def decode_embeddings(self, s_next: Tensor) -> Embeddings:
        """VAE-1's decoder: ``ŝ_{t+1} (…, D)`` to the embeddings."""
        parts = self.prior_decoder(s_next).chunk(len(self.embedded), dim=-1)
        return dict(zip(self.embedded, parts, strict=True))

    def draw(self, distribution: Gaussian) -> Tensor:
        """Return a latent state of the distribution: a sample, or the mean with `sample=False`."""
        return distribution.sample() if self.sample else distribution.mean

    def step(self, s: Tensor, actions: Tensor, draw: bool) -> Tensor:
        """Imagine one transition: ``ŝ_t (…, D), â_t (…, N) -> ŝ_{t+1} (…, D)``, drawn or the mean."""
        encoder = self.prior_encoder
        if draw:
            s_next = encoder.distribution(self._on_prior_input(s, actions, *encoder.on_input())).sample()
        else:
            s_next = encoder.finish(self._on_prior_input(s, actions, *encoder.on_input(encoder.out_size)))
        return self.decode_embeddings(s_next)["z_s"] if self.rollout_mode == "decoded" else s_next

    def _on_prior_input(self, s: Tensor, actions: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply the prior's layer `weight (O, X), bias` to the embeddings of ŝ and â, which nobody asks for: (…, O).

        Layers that follow each other without a nonlinearity are one product: φ with `weight`'s part for it, and g's
        third layer with the part for z^sa. Gradients stop where they do in `embed`.
        """
        phi = self.phi.linear
        for_fixed, for_phi = self._by_embedding(weight)
        on_input = linear(self.phi.inputs(s, actions), for_phi @ phi.weight, bias + for_phi @ phi.bias)
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
        for j in range(horizon):
            if j > 0:
                with th.no_grad():
                    actions = policy(self.decode_hidden(latents[-1]))
            latents.append(self.step(latents[-1], actions, draw))
        return th.stack(latents).movedim(0, -2)
