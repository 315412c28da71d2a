"""The recurrent actor: an agent's history to a density over its actions."""

from collections.abc import Sequence
from types import SimpleNamespace

from torch import Tensor, nn

from modules.actors.densities import Density
from modules.actors.heads import make_head
from modules.agents.history_encoder import HistoryEncoder, memory_of, own_parameters
from modules.sale import feature_normaliser
from modules.start import SMALL, start_orthogonally


class RNNActor(nn.Module):
    """``π_i(a | τ_i)``: Linear, ReLU, GRU, and the head for the task's actions.

    Reads from `args`: `rnn_hidden_dim`, `use_rnn`, `memoryless`, `action_space`, `n_actions`, `n_agents`,
    `share_parameters`, `action_spread`, `action_std`, `orthogonal_start`, `normalise_features`.
    """

    def __init__(self, input_size: int, args: SimpleNamespace) -> None:
        super().__init__()
        own = own_parameters(args)
        self.features = feature_normaliser(args.normalise_features, input_size)
        self.encoder = HistoryEncoder(input_size, args.rnn_hidden_dim, own, memory_of(args))
        self.head = make_head(
            args.action_space, args.rnn_hidden_dim, args.n_actions, args.action_spread, args.action_std, own
        )
        if args.orthogonal_start:
            start_orthogonally(self, self.head.last, SMALL)

    def encode(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` of `sizes` rows at each step to ``h (R, N, H)``; see `HistoryEncoder`."""
        return self.encoder(self.features(inputs), sizes, hidden)

    def density(self, h: Tensor, available: Tensor) -> Density:
        """Return the density over actions of ``h (R, N, H)``, given what is ``available (R, N, W)``."""
        return self.head(h, available)
