"""The recurrent part that all agents share: inputs of a history to hidden states."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from modules.gru import unroll
from modules.linear import Linear


class HistoryEncoder(nn.Module):
    """Linear, ReLU, GRU: ``x_t -> h_t``, an agent's action-observation history τ (PyMARL's RNN agent up to here)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.fc1 = Linear(input_size, hidden_size)
        self.rnn = nn.GRU(hidden_size, hidden_size)

    def forward(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` to ``h (R, N, H)``.

        Rows come step after step, `sizes` of them at each; the first ones of a step go on at the next (see
        `EpisodeRows`). Histories begin with ``hidden (sizes[0], N, H)``, or with zeros.
        """
        R, N, _ = inputs.shape
        x = functional.relu(self.fc1(inputs), inplace=True).view(R * N, -1)
        start = None if hidden is None else hidden.reshape(-1, self.hidden_size)
        return unroll(self.rnn, x, [size * N for size in sizes], start).view(R, N, -1)
