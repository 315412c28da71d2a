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

from modules.activations import Tanh
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

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads, (…, width + X)."""
        return th.cat([functional.elu(self.first(x), inplace=True), x], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both paths."""
        return self.last(self.features(x))


class GaussianEncoder(Perceptron):
    """``x (…, X) -> N(mean, std²)`` of size D."""

    def __init__(self, x_size: int, width: int, out_size: int) -> None:
        super().__init__(x_size, width, 2 * out_size)
        self.out_size = out_size

    def forward(self, x: Tensor) -> Gaussian:
        """Return the distribution."""
        mean, raw = super().forward(x).chunk(2, dim=-1)
        return Gaussian(mean, functional.softplus(raw) + MIN_STD)

    def mean(self, x: Tensor) -> Tensor:
        """Return the distribution's mean alone, (…, D)."""
        return linear(self.features(x), self.last.weight[: self.out_size], self.last.bias[: self.out_size])


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

    def embed(self, s: Tensor, actions: Tensor, sale: tuple[Tensor, Tensor] | None = None) -> Embeddings:
        """Embed ``ŝ (…, D)`` and the joint action (…, N) for VAE-1.

        ``z^s`` and ``z^sa`` come behind a stop-gradient: only the SALE loss trains f_s and g_s, as in TD7. Who has them
        already gives them as `sale`.
        """
        phi = self.phi(s, actions)
        if self.sale is None:
            return {"phi": phi}
        if sale is None:
            with th.no_grad():
                sale = self.sale(s, actions)
        z_s, z_sa = sale
        return {"z_sa": z_sa.detach(), "z_s": z_s.detach(), "phi": phi}

    def prior(self, embeddings: Embeddings) -> Gaussian:
        """``p(ŝ_{t+1} | z^sa_t, z^s_t, φ^sa_t)``."""
        return self.prior_encoder(th.cat(list(embeddings.values()), dim=-1))

    def decode_embeddings(self, s_next: Tensor) -> Embeddings:
        """VAE-1's decoder: ``ŝ_{t+1} (…, D)`` to the embeddings."""
        parts = self.prior_decoder(s_next).chunk(len(self.embedded), dim=-1)
        return dict(zip(self.embedded, parts, strict=True))

    def draw(self, distribution: Gaussian) -> Tensor:
        """Return a latent state of the distribution: a sample, or the mean with `sample=False`."""
        return distribution.sample() if self.sample else distribution.mean

    def step(self, s: Tensor, actions: Tensor, draw: bool) -> Tensor:
        """Imagine one transition: ``ŝ_t (…, D), â_t (…, N) -> ŝ_{t+1} (…, D)``, drawn or the mean."""
        embeddings = self.embed(s, actions)
        if draw:
            s_next = self.prior(embeddings).sample()
        else:
            s_next = self.prior_encoder.mean(th.cat(list(embeddings.values()), dim=-1))
        return self.decode_embeddings(s_next)["z_s"] if self.rollout_mode == "decoded" else s_next

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
