"""Critics of states: V of the state and an agent's number (MAPPO), or of an agent's own history (IPPO).

Letters: R rows, N agents, S state size, I agent input size, H width.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.history_encoder import HistoryEncoder, own_parameters
from modules.critics.inputs import StateAndNumber
from modules.critics.value_norm import ValueNorm
from modules.linear import Linear
from modules.sale import feature_normaliser
from modules.start import SMALL, start_orthogonally


class MLPEncoder(nn.Module):
    """Linear, ReLU, Linear, ReLU of each row by itself; called as a `HistoryEncoder` is."""

    def __init__(self, first: nn.Module, hidden_size: int, n_agents: int | None) -> None:
        super().__init__()
        self.fc1 = first
        self.fc2 = Linear(hidden_size, hidden_size, n_agents=n_agents)

    def forward(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Return (R, N, H). There is no history: `sizes` and `hidden` are not read."""
        x = functional.relu(self.fc1(inputs), inplace=True)
        return functional.relu(self.fc2(x), inplace=True)


class ValueCritic(nn.Module):
    """V for every agent; one number, of the reward's scale divided by `norm`, if there is one.

    Reads from `args`: `critic` (mlp or rnn), `critic_reads` (state, own), `critic_hidden_dim`, `state_shape`,
    `n_agents`, `share_parameters`, `value_norm`, `value_norm_beta`, `orthogonal_start`, `normalise_features`.
    """

    def __init__(self, input_size: int, args: SimpleNamespace) -> None:
        """`input_size` is I, read with ``critic_reads=own``."""
        super().__init__()
        own, H = own_parameters(args), args.critic_hidden_dim
        read = args.state_shape if args.critic_reads == "state" else input_size
        self.features = feature_normaliser(args.normalise_features, read)
        if args.critic_reads == "state":
            first = StateAndNumber(args.state_shape, args.n_agents, H, own is not None)
        else:
            first = Linear(input_size, H, n_agents=own)
        if args.critic == "rnn":
            self.encoder = HistoryEncoder(input_size, H, own)
            self.encoder.fc1 = first
        else:
            self.encoder = MLPEncoder(first, H, own)
        self.recurrent = args.critic == "rnn"
        self.last = Linear(H, 1, n_agents=own)
        self.norm = ValueNorm(args.value_norm_beta) if args.value_norm else None
        if args.orthogonal_start:
            start_orthogonally(self, self.last, 1.0)
        with th.no_grad():  # values start near zero, whatever the scale of states is: the first targets hang on them
            self.last.weight.mul_(SMALL)
            self.last.bias.zero_()

    def encode(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Return ``h (R, N, H)`` of ``s (R, S)``, or of each agent's inputs (R, N, S or I); see `HistoryEncoder`."""
        return self.encoder(self.features(inputs), sizes, hidden)

    def value(self, h: Tensor) -> Tensor:
        """Return the (normalised) values ``(R, N)``."""
        return self.last(h).squeeze(-1)

    def on_reward_scale(self, values: Tensor) -> Tensor:
        """Return values brought back to the reward's scale."""
        return values if self.norm is None else self.norm.on_reward_scale(values)

    def normalised(self, returns: Tensor) -> Tensor:
        """Return what `value` is to say for returns of the reward's scale."""
        return returns if self.norm is None else self.norm.normalised(returns)
