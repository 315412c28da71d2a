"""The perceptron that world models, actors and critics of dreams are made of."""

from torch import nn
from torch.nn import Linear


class MLP(nn.Sequential):
    """`layers` hidden layers of `width`, each linear, layer norm and SiLU (DreamerV3), then a linear one: (…, in, out).

    With `zero` the last layer starts at zero: what it predicts before it has learnt is 0, or all classes alike.
    """

    def __init__(self, size: int, out: int, width: int, layers: int, zero: bool = False) -> None:
        super().__init__(*hidden_layers(size, width, layers), last := Linear(width if layers else size, out))
        if zero:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


class Hidden(nn.Sequential):
    """The hidden layers alone: (…, in) -> (…, width)."""

    def __init__(self, size: int, width: int, layers: int) -> None:
        super().__init__(*hidden_layers(size, width, layers))


def hidden_layers(size: int, width: int, layers: int) -> list[nn.Module]:
    """Return `layers` times linear, layer norm, SiLU."""
    found: list[nn.Module] = []
    for k in range(layers):
        found += [Linear(size if k == 0 else width, width, bias=False), nn.LayerNorm(width), nn.SiLU(inplace=True)]
    return found
