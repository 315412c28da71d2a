"""One figure of one run against steps, and several of them on common steps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.errors import UserError


class Series(NamedTuple):
    """One metric of one run: environment steps and values, both (n,)."""

    steps: np.ndarray
    values: np.ndarray


def aligned(series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Return common steps (n,) and the values of every run there, (runs, n).

    Episodes differ in length, so runs are evaluated at slightly different steps: values are interpolated between
    them, over the stretch that every run covers.
    """
    first, last = max(s.steps[0] for s in series), min(s.steps[-1] for s in series)
    if first > last:
        raise UserError("runs of one algorithm on one task cover different steps, with no overlap: plot them apart")
    steps = np.unique(np.concatenate([s.steps for s in series]))
    steps = steps[(first <= steps) & (steps <= last)]
    return steps, np.stack([np.interp(steps, s.steps, s.values) for s in series])


def area_under(steps: np.ndarray, values: np.ndarray) -> float:
    """Return the area under ``values (n,)`` against ``steps (n,)``, by trapezoids, over the length of the stretch."""
    if len(steps) == 1:
        return float(values[0])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def until(series: Series, end: float) -> Series:
    """Return a series up to `end`, with its value there, interpolated."""
    before = series.steps < end
    places = np.append(series.steps[before], end)
    return Series(places, np.append(series.values[before], np.interp(end, series.steps, series.values)))
