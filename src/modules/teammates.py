"""What an agent's teammates tell of its next action: SMMAE's measure of cooperation (Zhang et al., AAMAS 2023).

Letters: N agents, O observation size, A actions, E width.
"""

import torch as th
from torch import Tensor, nn

from modules.linear import Linear


class TeammatePredictor(nn.Module):
    """Attention over the other agents' ``[o_j, j]``, and a network from what it gives, and i, to agent i's action."""

    def __init__(self, n_agents: int, obs_size: int, n_actions: int, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (Linear(obs_size + n_agents, width) for _ in range(3))
        self.net = nn.Sequential(Linear(width + n_agents, width), nn.ReLU(), Linear(width, n_actions))
        self.register_buffer("ids", th.eye(n_agents), persistent=False)

    def forward(self, obs: Tensor) -> Tensor:
        """Return the logits (K, N, A) of every agent's action from observations (K, N, O)."""
        ids = self.ids.expand(len(obs), -1, -1)
        seen = th.cat([obs, ids], dim=-1)
        scores = self.query(seen) @ self.key(seen).mT / self.query.out_features**0.5
        weights = scores.masked_fill(self.ids.bool(), -th.inf).softmax(dim=-1)
        return self.net(th.cat([weights @ self.value(seen), ids], dim=-1))
