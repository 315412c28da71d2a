"""The critic of agents that live in a world model: a value for each agent, from all agents' features or its own."""

import torch as th
from torch import Tensor, nn

from modules.worlds.attention import AgentTransformer
from modules.worlds.heads import NumberHead
from modules.worlds.mlp import MLP


class DreamCritic(nn.Module):
    """``v^i(x^1, …, x^N)`` with attention over agents (MAMBA, MABL §3.3, DMAWM A.3), or ``v(x^i)`` without.

    What comes out is a head's (see `modules.worlds.heads`): `values` reads it. It starts at 0 everywhere.
    """

    def __init__(
        self, size: int, width: int, layers: int, head: NumberHead, attention: AgentTransformer | None = None
    ) -> None:
        """Take X, the width of ``x^i``; attention is `width` wide, and so a linear layer leads there."""
        super().__init__()
        self.head, self.attention = head, attention
        self.first = None if attention is None else nn.Linear(size, width)
        self.net = MLP(size if attention is None else width, head.size, width, layers, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(…, N, size of the head)`` of ``x (…, N, X)``."""
        return self.net(x if self.attention is None else self.attention(self.first(x)))

    def values(self, x: Tensor) -> Tensor:
        """Return v (…, N), without a gradient."""
        with th.no_grad():
            return self.head.mean(self(x))
