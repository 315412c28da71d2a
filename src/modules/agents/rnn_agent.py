"""PyMARL's recurrent agent: a GRU over the history, a linear layer to action values."""

from collections.abc import Sequence
from types import SimpleNamespace

from torch import Tensor, nn

from modules.agents.history_encoder import HistoryEncoder, memory_of, own_parameters
from modules.linear import Float32Linear


class RNNAgent(nn.Module):
    """Parameters shared by all agents, or with `share_parameters=False` one set for each.

    Reads from `args` besides: `rnn_hidden_dim`, `use_rnn`, `memoryless`, `layer_norm`, `n_actions`, `n_agents`.
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        own = own_parameters(args)
        H = args.rnn_hidden_dim
        self.encoder = HistoryEncoder(input_shape, H, own, memory_of(args), layer_norm=args.layer_norm)
        self.fc2 = Float32Linear(H, args.n_actions, n_agents=own)

    def encode(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` of `sizes` rows at each step to ``h (R, N, H)``; see `HistoryEncoder`."""
        return self.encoder(inputs, sizes, hidden)

    def q_from_hidden(self, h: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score every action: ``h (…, H) -> Q (…, A)``. The history holds the observation, so `obs` is not read."""
        return self.fc2(h)

    def score(self, h: Tensor, actions: Tensor, obs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ``Q (…)`` of the actions (…, 1), and ``Q (…, A)`` of every action without gradients."""
        q = self.q_from_hidden(h)
        return q.gather(-1, actions).squeeze(-1), q.detach()

    def q_imagined(self, h: Tensor) -> Tensor:
        """Score every action in imagination: as everywhere."""
        return self.q_from_hidden(h)
