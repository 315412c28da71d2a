"""What the pictures of the project share: colours, and paper to draw on.

Needs no screen, and no fonts but the one Pillow brings.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, RULE = "#FFFFFF", "#222222", "#8A8A8A", "#D9D9D9"
# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is left to what agents act on.
AGENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
YELLOW = "#F0E442"
SCALE = 2  # how much larger than wanted everything is drawn: shrunk afterwards, its edges are smooth

Point = tuple[float, float]  # x to the right, y down
Box = tuple[float, float, float, float]  # left, top, right, bottom


def agent_colour(agent: int) -> str:
    """Return an agent's colour; the seventh agent has the first one's again."""
    return AGENT_COLOURS[agent % len(AGENT_COLOURS)]


def faded(colour: str, share: float) -> str:
    """Return a colour over white paper, of which `share` in [0, 1] is left."""
    channels = (round(255 + (int(colour[i : i + 2], 16) - 255) * share) for i in (1, 3, 5))
    return "#" + "".join(f"{channel:02X}" for channel in channels)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # the one that Pillow brings, since a size is asked for
    return font


def text_width(text: str, size: float) -> float:
    """Return how many pixels a line of text takes from left to right."""
    return _font(size * SCALE).getlength(text) / SCALE


class Canvas:
    """White paper of width x height pixels; every length is in pixels of the finished picture."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._image = Image.new("RGB", (self.width * SCALE, self.height * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._image, "RGBA")  # so that a colour with an opacity is mixed in

    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        """Draw straight lines from point to point."""
        self._draw.line([(x * SCALE, y * SCALE) for x, y in points], fill=colour, width=round(width * SCALE))

    def box(
        self, box: Box, fill: str | None = None, outline: str | None = None, width: float = 1, radius: float = 0
    ) -> None:
        """Draw a rectangle, with corners rounded by `radius`. A fill may carry its opacity, `#RRGGBBAA`."""
        self._draw.rounded_rectangle(_pixels(box), radius * SCALE, fill, outline, round(width * SCALE))

    def circle(self, centre: Point, radius: float, fill: str, outline: str | None = None, width: float = 1) -> None:
        """Draw a disc."""
        (x, y), r = centre, radius
        self._draw.ellipse(_pixels((x - r, y - r, x + r, y + r)), fill, outline, round(width * SCALE))

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill)

    def text(self, at: Point, text: str, size: float, colour: str = INK, anchor: str = "lm") -> None:
        """Write a line of text; `anchor` says what `at` is: l, m or r of the line, and m its middle height."""
        self._draw.text((at[0] * SCALE, at[1] * SCALE), text, colour, _font(size * SCALE), anchor)

    def image(self) -> Image.Image:
        """Return the finished picture."""
        return self._image.reduce(SCALE)

    def array(self) -> np.ndarray:
        """Return the finished picture: (height, width, 3) uint8."""
        return np.asarray(self.image())


def _pixels(box: Box) -> Box:
    left, top, right, bottom = (round(edge * SCALE) for edge in box)
    return left, top, right - 1, bottom - 1  # Pillow's boxes hold their last pixel
