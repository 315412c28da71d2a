"""Frames into a GIF and an MP4, which appear whole or not at all."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from imageio_ffmpeg import write_frames
from PIL import Image

from utils.drawing import PAPER
from utils.files import unfinished

GIF, MP4 = "episodes.gif", "episodes.mp4"
BLOCK = 16  # pixels; video is coded in blocks of this side, and other sizes would be rescaled, which blurs
QUALITY = 8  # of the MP4, from 0 to 10
MOST_COLOURS = 256  # of a GIF's frame


class Frame(NamedTuple):
    """A picture, and for how many frames of the film it stays."""

    picture: Image.Image
    stays: int


def write_movie(folder: Path, frames: Iterable[Frame], fps: int) -> list[Path]:
    """Write `episodes.gif` and `episodes.mp4`, at `fps` frames per second, into a folder and return their paths.

    Frames, at least one, are of one size and drawn while the film is written. The folder is made if need be;
    `UserError` says when it cannot be written, before the first frame is drawn.
    """
    with unfinished(folder, (GIF, MP4)) as partial:
        gif: list[Image.Image] = []
        durations: list[float] = []
        frames = iter(frames)
        first = next(frames)
        size = _padded(first.picture).size
        film = write_frames(str(partial / MP4), size, fps=fps, quality=QUALITY, macro_block_size=BLOCK)
        film.send(None)  # starts it
        try:
            for picture, stays in chain([first], frames):
                picture = _padded(picture)
                for _ in range(stays):
                    film.send(np.asarray(picture))
                gif.append(picture.quantize(MOST_COLOURS, dither=Image.Dither.NONE))
                durations.append(1000 * stays / fps)
        finally:
            film.close()
        gif[0].save(partial / GIF, save_all=True, append_images=gif[1:], duration=durations, loop=0)
    return [folder / GIF, folder / MP4]


def _padded(picture: Image.Image) -> Image.Image:
    """Return a picture with paper around it, so that both sides are whole blocks."""
    width, height = (-(-side // BLOCK) * BLOCK for side in picture.size)
    padded = Image.new("RGB", (width, height), PAPER)
    padded.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return padded
