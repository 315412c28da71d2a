"""PyMARL's recurrent agent: a GRU over the history, a linear layer to action values."""

from types import SimpleNamespace

from torch import Tensor, nn

from modules.agents.history_encoder import HistoryEncoder


class RNNAgent(nn.Module):
    """Parameters shared by all agents; `args` gives `rnn_hidden_dim` and `n_actions`."""

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        self.encoder = HistoryEncoder(input_shape, args.rnn_hidden_dim)
        self.fc2 = nn.Linear(args.rnn_hidden_dim, args.n_actions)

    def encode(self, inputs: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (B, T, N, I)`` from ``hidden (B, N, H)`` to ``h (B, T, N, H)``."""
        return self.encoder(inputs, hidden)

    def q_from_hidden(self, h: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score every action: ``h (…, H) -> Q (…, A)``. The history holds the observation, so `obs` is not read."""
        return self.fc2(h)

    def q_imagined(self, h: Tensor) -> Tensor:
        """Score every action in imagination: as everywhere."""
        return self.q_from_hidden(h)

    def q_of_actions(self, h: Tensor, actions: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score given actions: ``h (…, H), actions (…) int64 -> Q (…)``."""
        return self.fc2(h).gather(-1, actions.unsqueeze(-1)).squeeze(-1)
