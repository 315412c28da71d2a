"""Convolutions for observations that are pictures: (height, width, channels), laid flat.

Each step halves a side that is longer than `SMALLEST`, so grids of a few cells keep their cells and pictures of 44 x 44
become 6 x 6; the decoder goes the same way back, by nearest neighbours.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 8  # a side no longer than this is not halved
CHANNELS = 32


def sides_of(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes from the picture to the smallest, one or more steps."""
    sides = [(height, width)]
    while max(sides[-1]) > SMALLEST:
        sides.append(tuple(-(-side // 2) if side > SMALLEST else side for side in sides[-1]))
    return sides


class PictureEncoder(nn.Module):
    """Two convolutions at the picture's size, one after each halving, a linear layer: (…, pixels) -> (…, out)."""

    def __init__(self, image: tuple[int, int, int], out: int) -> None:
        super().__init__()
        self.image, self.sides = image, sides_of(*image[:2])
        sizes = [image[2], *[CHANNELS] * (len(self.sides) + 1)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        height, width = self.sides[-1]
        self.last = nn.Linear(CHANNELS * height * width, out)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what is seen in pictures."""
        x = pixels.reshape(-1, *self.image).permute(0, 3, 1, 2)
        x = functional.silu(self.convolutions[0](x))
        for convolution, side in zip(self.convolutions[1:], self.sides, strict=True):
            x = functional.silu(convolution(functional.adaptive_avg_pool2d(x, side)))
        return self.last(x.flatten(1)).view(*pixels.shape[:-1], -1)


class PictureDecoder(nn.Module):
    """A linear layer, a convolution for each doubling, and one to the channels: (…, in) -> (…, pixels)."""

    def __init__(self, size: int, image: tuple[int, int, int]) -> None:
        super().__init__()
        self.sides = sides_of(*image[:2])[::-1]
        height, width = self.sides[0]
        self.first = nn.Linear(size, CHANNELS * height * width)
        self.convolutions = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in self.sides)
        self.last = nn.Conv2d(CHANNELS, image[2], 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return pictures, laid flat."""
        x = functional.silu(self.first(hidden.flatten(0, -2))).unflatten(1, (CHANNELS, *self.sides[0]))
        for convolution, side in zip(self.convolutions, self.sides, strict=True):
            x = functional.silu(convolution(functional.interpolate(x, side, mode="nearest")))
        return self.last(x).permute(0, 2, 3, 1).reshape(*hidden.shape[:-1], -1)
