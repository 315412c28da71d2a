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
