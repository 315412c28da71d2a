"""What stands beside the picture in a film of agents that learn in dreams: what they saw, and were imagined to see."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from utils.drawing import FAINT, RULE, Canvas

HEAD, GAP, ROW, TEXT, LEAST = 28, 16, 20, 13, 200  # pixels; LEAST is the width that the numbers need


class Told(NamedTuple):
    """What a model says of a row, and what really came: pictures, and (model's, real) numbers, means over agents."""

    observed: np.ndarray  # (height, width, 3) uint8
    said: np.ndarray
    looked: bool  # whether the model has seen the row
    reward: tuple[float, float] | None  # None of a first row, with which nothing arrives
    goes_on: tuple[float, float] | None


def draw_told(told: Told) -> Image.Image:
    """Return two pictures below each other, each with its heading, and below them the numbers."""
    height, width = told.observed.shape[:2]
    side = max(width, LEAST)
    canvas = Canvas(side + 2 * GAP, 2 * (HEAD + height) + GAP + 3 * ROW)
    imagined = "decoded from what it saw" if told.looked else "imagined, without looking"
    for number, heading in enumerate(("observed", imagined)):
        canvas.text((GAP, number * (HEAD + height) + HEAD / 2), heading, TEXT)
    top, columns = 2 * (HEAD + height) + GAP, (GAP + 0.72 * side, GAP + side)
    for x, heading in zip(columns, ("model", "real"), strict=True):
        canvas.text((x, top + ROW / 2), heading, TEXT, FAINT, "rm")
    canvas.line([(GAP, top + ROW), (GAP + side, top + ROW)], RULE)
    for row, (name, numbers) in enumerate((("reward", told.reward), ("goes on", told.goes_on)), start=1):
        y = top + (row + 0.5) * ROW
        canvas.text((GAP, y), name, TEXT)
        for x, value in zip(columns, numbers or (), strict=False):
            canvas.text((x, y), f"{value:.2f}", TEXT, anchor="rm")
    sheet = canvas.image()
    for number, picture in enumerate((told.observed, told.said)):
        sheet.paste(Image.fromarray(picture), (GAP + (side - width) // 2, HEAD + number * (HEAD + height)))
    return sheet
