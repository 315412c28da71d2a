"""How far observations are from a subgoal: the representation φ of MASER (Jeon et al., ICML 2022).

Letters: B episodes, T transitions, N agents, O observation size, A actions.
"""

import torch as th
from torch import Tensor, nn

from modules.linear import Linear


class GoalDistance(nn.Module):
    """``φ = MLP(o)``, one hidden layer, A numbers; agents share it."""

    def __init__(self, obs_size: int, n_actions: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Linear(obs_size, width), nn.ReLU(), Linear(width, n_actions))

    def forward(self, obs: Tensor) -> Tensor:
        """Return ``φ (…, A)`` of observations (…, O)."""
        return self.net(obs)


def at_steps(x: Tensor, steps: Tensor) -> Tensor:
    """Return what each agent has at its own step of each episode: ``x (B, T, N, X), steps (B, N) -> (B, 1, N, X)``."""
    return x.gather(1, steps[:, None, :, None].expand(-1, 1, -1, x.shape[-1]))


def distance_to(phi: Tensor, steps: Tensor) -> Tensor:
    """Return ``‖φ(o_t) - φ(o_g)‖ (B, T, N)`` of ``φ (B, T, N, A)``, g the steps (B, N) of the subgoals."""
    return th.linalg.vector_norm(phi - at_steps(phi, steps), dim=-1)
