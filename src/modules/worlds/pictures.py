"""Convolutions for pictures in observations, which lie flat in them; linear layers for the numbers beside them.

Each step halves a side that is longer than `SMALLEST`, so grids of a few cells keep their cells and pictures of 44 x 44
become 6 x 6; the decoder goes the same way back, by nearest neighbours.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch as th
from torch import Tensor, nn
from torch.nn import functional

Image = tuple[int, int, int, int, bool]  # its first number's place, height, width, channels, whether these come first
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

    def __init__(self, image: Image, out: int) -> None:
        super().__init__()
        _, *self.shape, channels, self.channels_first = image
        self.sides = sides_of(*self.shape)
        sizes = [channels, *[CHANNELS] * (len(self.sides) + 1)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        height, width = self.sides[-1]
        self.last = nn.Linear(CHANNELS * height * width, out)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what is seen in pictures."""
        x = pixels.flatten(0, -2)
        there = (-1, *self.shape) if self.channels_first else (*self.shape, -1)
        x = x.unflatten(1, there) if self.channels_first else x.unflatten(1, there).movedim(3, 1)
        x = functional.silu(self.convolutions[0](x))
        for convolution, side in zip(self.convolutions[1:], self.sides, strict=True):
            x = functional.silu(convolution(functional.adaptive_avg_pool2d(x, side)))
        return self.last(x.flatten(1)).view(*pixels.shape[:-1], -1)


class PictureDecoder(nn.Module):
    """A linear layer, a convolution for each doubling, and one to the channels: (…, in) -> (…, pixels)."""

    def __init__(self, size: int, image: Image) -> None:
        super().__init__()
        _, *shape, channels, self.channels_first = image
        self.sides = sides_of(*shape)[::-1]
        height, width = self.sides[0]
        self.first = nn.Linear(size, CHANNELS * height * width)
        self.convolutions = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in self.sides)
        self.last = nn.Conv2d(CHANNELS, channels, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return pictures, laid flat."""
        x = functional.silu(self.first(hidden.flatten(0, -2))).unflatten(1, (CHANNELS, *self.sides[0]))
        for convolution, side in zip(self.convolutions, self.sides, strict=True):
            x = functional.silu(convolution(functional.interpolate(x, side, mode="nearest")))
        x = self.last(x) if self.channels_first else self.last(x).movedim(1, 3)
        return x.reshape(*hidden.shape[:-1], -1)


def pieces_of(images: Sequence[Image], size: int) -> list[tuple[int, Image | None]]:
    """Return the pieces of an observation of so many numbers, in order: how long each is, and what picture, if any."""
    pieces, at = [], 0
    for image in images:
        start, height, width, channels, _ = image
        pieces += [(start - at, None)] if start > at else []
        pieces.append((height * width * channels, image))
        at = start + pieces[-1][0]
    return pieces + ([(size - at, None)] if size > at else [])


class SeenEncoder(nn.Module):
    """Each picture of an observation through convolutions, the other numbers as they are: (…, I) -> (…, `size`)."""

    def __init__(self, images: Sequence[Image], obs_size: int, width: int) -> None:
        super().__init__()
        pieces = pieces_of(images, obs_size)
        self.lengths = [length for length, _ in pieces]
        self.parts = nn.ModuleList(PictureEncoder(image, width) if image else nn.Identity() for _, image in pieces)
        self.size = sum(width if image else length for length, image in pieces)

    def forward(self, obs: Tensor) -> Tensor:
        """Return what is seen, in the observation's order."""
        pieces = zip(self.parts, obs.split(self.lengths, dim=-1), strict=True)
        return th.cat([part(piece) for part, piece in pieces], dim=-1)


class SeenDecoder(nn.Module):
    """The way back: (…, in) -> (…, I)."""

    def __init__(self, size: int, images: Sequence[Image], obs_size: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            PictureDecoder(size, image) if image else nn.Linear(size, length)
            for length, image in pieces_of(images, obs_size)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return observations."""
        return th.cat([part(hidden) for part in self.parts], dim=-1)
