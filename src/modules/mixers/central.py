"""A mixer without a constraint: the central ``Q̂*`` of weighted QMIX (Rashid et al., NeurIPS 2020, §5)."""

import itertools
from types import SimpleNamespace

import torch as th
from torch import Tensor, nn

from modules.linear import Linear
from modules.mixers.monotonic import StateInput


class CentralMixer(nn.Module):
    """``Q̂*(s, u) = MLP([s, Q_1, …, Q_N]) + V(s)``: three hidden layers for the first, one for the second.

    Reads from `args`: `n_agents` (N), `state_shape` (S), `central_mixing_dim`; see also `StateInput`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.state = StateInput(args)
        S, width = self.state.size, args.central_mixing_dim
        sizes = [S + args.n_agents, width, width, width]
        layers = [
            layer for sizes in itertools.pairwise(sizes) for layer in (Linear(*sizes), nn.ReLU())
        ]
        self.net = nn.Sequential(*layers, Linear(width, 1))
        self.value = nn.Sequential(Linear(S, width), nn.ReLU(), Linear(width, 1))

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """Mix ``Q_i (…, N)`` given ``s (…, S)`` to ``Q̂* (…)``."""
        seen = self.state(states)
        return (self.net(th.cat([seen, agent_qs], dim=-1)) + self.value(seen)).squeeze(-1)
