"""The joint values of QTRAN-base (Son et al., ICML 2019), of all agents' histories and actions.

Letters: N agents, A actions, H hidden size, S state size, E `mixing_embed_dim`.
"""

from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.linear import Linear
from modules.mixers.monotonic import StateInput


class JointValues(nn.Module):
    """``Q_jt(s, τ, u) = MLP([s, Σ_i e_Q(h_i, u_i)])`` and ``V_jt(s, τ) = MLP([s, Σ_i e_V(h_i)])`` (§4, Fig. 1).

    Agents share ``e_Q`` and ``e_V``; their sums do not grow with the number of agents. The paper's values read no
    state; that they do is as in PyMARL.

    Reads from `args`: `n_actions`, `state_shape`, `rnn_hidden_dim`, `mixing_embed_dim`; see also `StateInput`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.n_actions = args.n_actions
        self.state = StateInput(args)
        H, S, E = args.rnn_hidden_dim, self.state.size, args.mixing_embed_dim

        def encoder(in_size: int) -> nn.Sequential:
            return nn.Sequential(Linear(in_size, in_size), nn.ReLU(), Linear(in_size, in_size))

        def value(in_size: int) -> nn.Sequential:
            return nn.Sequential(Linear(in_size, E), nn.ReLU(), Linear(E, E), nn.ReLU(), Linear(E, 1))

        self.q_encoder, self.v_encoder = encoder(H + args.n_actions), encoder(H)
        self.q_net, self.v_net = value(S + H + args.n_actions), value(S + H)

    def q(self, h: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        """Return ``Q_jt (…)`` of histories (…, N, H), states (…, S) and joint actions (…, N) int64."""
        onehots = functional.one_hot(actions, self.n_actions).to(h.dtype)
        team = self.q_encoder(th.cat([h, onehots], dim=-1)).sum(dim=-2)
        return self.q_net(th.cat([self.state(states), team], dim=-1)).squeeze(-1)

    def v(self, h: Tensor, states: Tensor) -> Tensor:
        """Return ``V_jt (…)`` of histories (…, N, H) and states (…, S)."""
        return self.v_net(th.cat([self.state(states), self.v_encoder(h).sum(dim=-2)], dim=-1)).squeeze(-1)
