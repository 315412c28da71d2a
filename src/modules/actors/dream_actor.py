"""The actor of agents that live in a world model: reads its agent's features, and nobody else's."""

from torch import Tensor, nn

from modules.actors.densities import Density
from modules.actors.heads import make_head
from modules.worlds.mlp import Hidden


class DreamActor(nn.Module):
    """``π(a | features)``: hidden layers, then the head of the action space. Parameters are shared by all agents."""

    def __init__(
        self, size: int, width: int, layers: int, action_space: object, n_avail: int, spread: str, initial_std: float
    ) -> None:
        """Take the sizes, and what `modules.actors.heads.make_head` does with the rest."""
        super().__init__()
        self.hidden = Hidden(size, width, layers)
        self.head = make_head(action_space, width if layers else size, n_avail, spread, initial_std)

    def forward(self, features: Tensor, avail: Tensor) -> Density:
        """Return the density of ``features (…, N, F)`` and ``avail (…, N, W)`` bool."""
        return self.head(self.hidden(features), avail)
