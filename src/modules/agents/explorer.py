"""SMMAE's exploration policies (Zhang et al., AAMAS 2023): values of being somewhere new, and how often to follow them.

Letters: R rows, N agents, A actions, H hidden size, S state size.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import torch as th
from torch import Tensor, nn

from modules.agents.history_encoder import HistoryEncoder, memory_of
from modules.linear import Linear


class StateOfEachAgent(nn.Module):
    """``W [s, i] + b`` for every agent i: ``(R, 1, S) -> (R, N, H)``."""

    def __init__(self, state_size: int, n_agents: int, out_size: int) -> None:
        super().__init__()
        self.of_state = Linear(state_size, out_size)
        bound = (state_size + n_agents) ** -0.5
        self.of_agent = nn.Parameter(th.empty(n_agents, out_size).uniform_(-bound, bound))

    def forward(self, states: Tensor) -> Tensor:
        """``(R, 1, S) -> (R, N, H)``."""
        return self.of_state(states) + self.of_agent


class Explorer(nn.Module):
    """A recurrent network on the state and the agent's number; all agents share it.

    `levels` (N,) say how far each agent's share of explored actions stands between its lowest (0) and its highest (1).
    An agent whose action its teammates tell, with an error below `alpha_threshold`, may explore more: its level rises
    by one of `alpha_steps`. One whose action they do not tell falls to 0.

    Reads from `args`: `state_shape`, `n_agents`, `n_actions`, `rnn_hidden_dim`, `use_rnn`, `memoryless`, `layer_norm`,
    `alpha_low`, `alpha_high`, `alpha_anneal_time`, `alpha_threshold`, `alpha_steps`, `alpha_interval`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args, H = args, args.rnn_hidden_dim
        first = StateOfEachAgent(args.state_shape, args.n_agents, H)
        self.encoder = HistoryEncoder(args.state_shape, H, None, memory_of(args), first, args.layer_norm)
        self.fc2 = Linear(H, args.n_actions)
        self.register_buffer("levels", th.ones(args.n_agents))
        self.register_buffer("errors", th.zeros(args.n_agents))  # summed over the episodes since levels moved
        self.register_buffer("episodes", th.zeros(()))

    def encode(self, states: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``states (R, 1, S)`` of `sizes` rows at each step to ``h (R, N, H)``; see `HistoryEncoder`."""
        return self.encoder(states, sizes, hidden)

    def q_from_hidden(self, h: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score every action: ``h (…, H) -> Q (…, A)``."""
        return self.fc2(h)

    def shares(self, t_env: int) -> Tensor:
        """Return α (N,), each agent's share of explored actions: the highest falls from `alpha_high` to `alpha_low`."""
        low, high = self.args.alpha_low, self.args.alpha_high
        return low + self.levels * (high - low) * max(0.0, 1 - t_env / self.args.alpha_anneal_time)

    @th.no_grad()
    def note(self, errors: Tensor) -> None:
        """Count the errors (B, N), in nats, of predictions in new episodes; levels move every `alpha_interval`."""
        self.errors += errors.sum(dim=0)
        self.episodes += len(errors)
        if self.episodes >= self.args.alpha_interval:
            told = self.errors / self.episodes < self.args.alpha_threshold
            self.levels.copy_((self.levels + 1 / self.args.alpha_steps).clamp(max=1) * told)
            self.errors.zero_()
            self.episodes.zero_()
