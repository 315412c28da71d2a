"""How new an observation is to an agent: SMMAE's density of what it has seen (Zhang et al., AAMAS 2023).

Letters: N agents, O observation size, Z latent size.
"""

import torch as th
from torch import Tensor, nn

from modules.linear import Linear
from modules.world_model import Gaussian

LARGEST_LOG_VARIANCE = 10.0  # beyond it e^x soon leaves float32


class ObservationDensity(nn.Module):
    """A VAE for each agent: ``q(z|o)`` and ``ô = decode(z)``. What it has seen often it reproduces well."""

    def __init__(self, n_agents: int, obs_size: int, width: int, latent_size: int) -> None:
        super().__init__()

        def layer(in_size: int, out_size: int) -> nn.Module:
            return Linear(in_size, out_size, n_agents=n_agents)

        self.encoder = nn.Sequential(layer(obs_size, width), nn.ReLU(), layer(width, 2 * latent_size))
        self.decoder = nn.Sequential(layer(latent_size, width), nn.ReLU(), layer(width, obs_size))

    def forward(self, obs: Tensor) -> tuple[Gaussian, Tensor]:
        """Return ``q(z|o)``, (…, N, Z) each, and ``ô (…, N, O)`` of a z drawn from it, for observations (…, N, O)."""
        mean, log_variance = self.encoder(obs).chunk(2, dim=-1)
        std = (log_variance.clamp(max=LARGEST_LOG_VARIANCE) / 2).exp()
        return Gaussian(mean, std), self.decoder(mean + std * th.randn_like(std))
