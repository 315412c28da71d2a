"""First layers of critics that see the state, which is the same for all agents: it is multiplied once.

Letters: R rows, N agents, S state size, H width.
"""

import torch as th
from torch import Tensor, nn

from modules.linear import Linear, linear


class StateAndNumber(nn.Module):
    """A linear layer on ``[s, onehot(i)]`` for every agent i (MAPPO): ``W_s s + W_i + b``.

    Agents with parameters of their own need no number; then it is one linear layer on s for each.
    """

    def __init__(self, state_size: int, n_agents: int, out_size: int, own: bool) -> None:
        super().__init__()
        self.state_size, self.own = state_size, own
        if own:
            self.linear = Linear(state_size, out_size, n_agents=n_agents)
        else:
            self.linear = Linear(state_size + n_agents, out_size)

    def forward(self, state: Tensor) -> Tensor:
        """Apply to ``s (R, S) -> (R, N, H)``, or to a state for each agent, ``(R, N, S)``."""
        weight, bias = self.linear.weight, self.linear.bias
        if self.own:
            if state.dim() == 3:
                return linear(state, weight, bias)
            return linear(state, weight.flatten(0, 1), bias.flatten()).unflatten(-1, bias.shape)
        of_state = linear(state, weight[:, : self.state_size], bias)
        numbers = weight[:, self.state_size :].t().contiguous()
        return (of_state.unsqueeze(-2) if state.dim() == 2 else of_state) + numbers


class Counterfactual(nn.Module):
    """A linear layer on ``[s, o_i, onehot(a_j) for all j ≠ i, onehot(i)]`` for every agent i (COMA).

    The own action's place holds zeros. All agents' actions are multiplied once, and the own one's row is taken out.
    Agents with parameters of their own need no number, and have a layer each on all of it.
    """

    def __init__(
        self, state_size: int, obs_size: int, n_agents: int, n_actions: int, out_size: int, own: bool = False
    ) -> None:
        super().__init__()
        self.sizes = [state_size, obs_size, n_agents * n_actions, 0 if own else n_agents]
        self.n_actions, self.own = n_actions, own
        self.linear = Linear(sum(self.sizes), out_size, n_agents=n_agents if own else None)

    def forward(self, state: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Apply to ``s (R, S), o (R, N, O), a (R, N, 1) int64 -> (R, N, H)``."""
        if self.own:
            return self.linear(self.inputs(state, obs, actions))
        R, N, _ = obs.shape
        of_state, of_obs, of_actions, of_number = self.linear.weight.split(self.sizes, dim=1)
        table = of_actions.t().contiguous()  # (N·A, H)
        rows = actions.squeeze(-1) + self.n_actions * th.arange(N, device=obs.device)
        each = table.index_select(0, rows.flatten()).view(R, N, -1)
        together = linear(state, of_state, self.linear.bias) + each.sum(dim=-2)
        return linear(obs, of_obs) + together.unsqueeze(-2) - each + of_number.t()

    def inputs(self, state: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return ``[s, o_i, onehot(a_j) for all j ≠ i]``, and with shared parameters the number: (R, N, …)."""
        R, N, _ = obs.shape
        onehots = obs.new_zeros(R, N, self.n_actions).scatter_(-1, actions, 1.0)
        numbers = th.eye(N, device=obs.device)
        others = onehots.unsqueeze(1) * (1 - numbers).unsqueeze(-1)  # (R, N, N, A)
        parts = [state.unsqueeze(1).expand(R, N, -1), obs, others.flatten(2)]
        return th.cat(parts if self.own else [*parts, numbers.expand(R, N, N)], dim=-1)
