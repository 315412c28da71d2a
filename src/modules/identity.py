"""Which agent a sequence of credits belongs to: the contrast of CIA (Liu et al., AAAI 2023).

Letters: B episodes, T transitions, N agents, E embedding size.
"""

import torch as th
from torch import Tensor, nn

from modules.gru import unroll


class IdentityContrast(nn.Module):
    """An encoder of temporal credits, and a vector for each agent's identity."""

    def __init__(self, n_agents: int, embed_dim: int) -> None:
        super().__init__()
        self.encoder = nn.GRU(1, embed_dim)
        self.identities = nn.Parameter(th.randn(n_agents, embed_dim) / embed_dim**0.5)

    def forward(self, credits: Tensor, sizes: list[int]) -> Tensor:
        """Encode ``credits (K, N)``, `sizes` rows at each step as in `EpisodeRows`, to ``(K, N, E)``."""
        K, N = credits.shape
        encoded = unroll(self.encoder, credits.reshape(K * N, 1), [size * N for size in sizes])
        return encoded.view(K, N, -1)

    def logits(self, encoded: Tensor) -> Tensor:
        """Return ``c_i · e_j (B, N, N)``: how well the credits ``(B, N, E)`` of agent i fit identity j."""
        return encoded @ self.identities.t()
