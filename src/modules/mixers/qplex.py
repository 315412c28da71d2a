"""The duplex dueling mixer of QPLEX (Wang et al., ICLR 2021).

Letters: N agents, A actions, S state size, K attention heads.
"""

from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.linear import Linear
from modules.mixers.monotonic import StateInput

SMALLEST = 1e-10  # of what must be positive


class QPLEXMixer(nn.Module):
    """``Q_tot = Σ_i V_i + Σ_i λ_i A_i``, ``λ_i > 0`` and ``A_i <= 0``: any value with the agents' greedy actions.

    Every agent's dueling parts are scaled by the state first (eq. 6): ``V_i = w_i max_a Q_i + b_i`` and
    ``A_i = w_i (Q_i - max_a Q_i)``, ``w_i > 0``. The weights ``λ_i (s, a) = Σ_k λ_ik φ_ik υ_k`` (eq. 11) read the joint
    action, so Q_tot need not be monotonic in any Q_i (eq. 7-10).

    Reads from `args`: `n_agents`, `n_actions`, `hypernet_embed`, `qplex_heads` (K), `qplex_advantage_grad`; see also
    `StateInput`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.n_actions, self.advantage_grad = args.n_actions, args.qplex_advantage_grad
        self.state = StateInput(args)
        N, S, heads, width = args.n_agents, self.state.size, args.qplex_heads, args.hypernet_embed

        def hypernet(in_size: int, out_size: int) -> nn.Sequential:
            return nn.Sequential(Linear(in_size, width), nn.ReLU(), Linear(width, out_size))

        self.hyper_w, self.hyper_b = hypernet(S, N), hypernet(S, N)
        self.heads = (heads, N)
        self.key = hypernet(S, heads)
        self.of_agents = hypernet(S, heads * N)
        self.of_actions = hypernet(S + N * args.n_actions, heads * N)

    def forward(self, taken: Tensor, best: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        """Mix to ``Q_tot (…)``.

        Args:
            taken: (…, N), ``Q_i`` of the actions.
            best: (…, N), ``max_a Q_i`` over what is available.
            states: (…, S).
            actions: (…, N) int64.
        """
        seen = self.state(states)
        w = self.hyper_w(seen).abs() + SMALLEST
        b = self.hyper_b(seen)
        advantage = w * (taken - best)
        weight = self._advantage_weights(seen, actions)
        if self.advantage_grad:
            return (w * best + b + weight * advantage).sum(dim=-1)
        # The same value; the advantage moves no agent except as a part of Q_i, which keeps the maximum steady.
        return (w * taken + b + (weight - 1) * advantage.detach()).sum(dim=-1)

    def advantage_weights(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return ``λ (…, N) > 0`` of states (…, S) and joint actions (…, N)."""
        return self._advantage_weights(self.state(states), actions)

    def _advantage_weights(self, seen: Tensor, actions: Tensor) -> Tensor:
        onehots = functional.one_hot(actions, self.n_actions).flatten(-2).to(seen.dtype)
        key = self.key(seen).abs().unsqueeze(-1) + SMALLEST  # (…, K, 1)
        of_agents = self.of_agents(seen).sigmoid().unflatten(-1, self.heads)
        of_actions = self.of_actions(th.cat([seen, onehots], dim=-1)).sigmoid().unflatten(-1, self.heads)
        return (key * of_agents * of_actions).sum(dim=-2)
