"""What a figure shows, apart from how it is drawn: `print_drawing` and `page_drawing` draw the same charts."""

from dataclasses import dataclass, field

import numpy as np

from comparison.line_styles import Style


@dataclass(frozen=True)
class Stroke:
    """A line with a band: ``x``, ``y``, ``low``, ``high``, (p,) each; NaN bounds draw no band.

    `name`: whose it is, in every chart of a page. `family`: under which heading its name stands. `grey`: it stands
    back, as one of many.
    """

    label: str
    style: Style
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    name: str = ""
    family: str = ""
    grey: bool = False


@dataclass(frozen=True)
class Dot:
    """A value with its interval on a row of its own. `runs`: single values beside it. `theirs`: it is a paper's."""

    label: str
    style: Style
    value: float
    low: float = np.nan
    high: float = np.nan
    runs: tuple[float, ...] = ()
    theirs: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes with strokes, or with dots in rows. `mark`: a vertical line, where a value means nothing."""

    title: str
    x_label: str
    y_label: str = ""
    strokes: tuple[Stroke, ...] = ()
    dots: tuple[Dot, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Chart:
    """A figure: panels under a heading.

    `name`: of its files. `caption`: what it shows. `notes`: printed on the figure itself.
    """

    name: str
    heading: str
    caption: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = field(default=())
