"""The recurrent part that all agents share: inputs of a history to hidden states."""

from torch import Tensor, nn
from torch.nn import functional


class HistoryEncoder(nn.Module):
    """Linear, ReLU, GRU: ``x_t -> h_t``, an agent's action-observation history τ (PyMARL's RNN agent up to here)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.rnn = nn.GRU(hidden_size, hidden_size)

    def forward(self, inputs: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (B, T, N, I)`` from ``hidden (B, N, H)``, or from zeros, to ``h (B, T, N, H)``."""
        B, T, N, _ = inputs.shape
        x = functional.relu(self.fc1(inputs)).transpose(0, 1).reshape(T, B * N, self.hidden_size)
        start = None if hidden is None else hidden.reshape(1, B * N, self.hidden_size)
        h, _ = self.rnn(x, start)
        return h.reshape(T, B, N, self.hidden_size).transpose(0, 1)
