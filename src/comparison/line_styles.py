"""How an algorithm is drawn: the same colour, dashes and marker in every picture."""

from pathlib import Path
from typing import NamedTuple

from settings import ALGS, config_names

CONFIG_DIR = Path(__file__).parents[1] / "config"
# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is left out, it is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", ":", "-.")  # Matplotlib's names, as are the markers
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}  # plotly's names of them
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


class Style(NamedTuple):
    """What tells an algorithm from others: the line and the marker do so in grey, too."""

    colour: str
    line: str
    marker: str


def style_of(algorithm: str, variant: int = 0) -> Style:
    """Return an algorithm's style; a `variant`, the same algorithm with other settings, keeps its colour."""
    known = sorted(config_names(CONFIG_DIR, ALGS), key=lambda name: ("_" in name, name))  # ablations after the rest
    place = known.index(algorithm) if algorithm in known else len(known)
    return Style(
        COLOURS[place % len(COLOURS)],
        LINES[(place + 2 * (place // len(COLOURS)) + variant) % len(LINES)],  # another one when a colour comes again
        MARKERS[(place + 3 * variant) % len(MARKERS)],
    )
