"""A figure as a curve of as many points as a screen shows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

POINTS = 400  # of a curve, at most


class Curve(NamedTuple):
    """Environment steps and values, equally many; a value is None where it is no number."""

    steps: list[int | float]
    values: list[float | None]


def curve_of(series: Mapping[str, Sequence[Any]]) -> Curve:
    """Return a series as a curve: of many points the least and the greatest of each stretch, so that no peak is lost.

    The first and the last point always stay.
    """
    steps, values = np.array(series["steps"], dtype=float), np.array(series["values"], dtype=float)
    if len(steps) > POINTS:
        kept = thinned(values, POINTS)
        steps, values = steps[kept], values[kept]
    return Curve(
        [int(step) if step.is_integer() else step for step in steps.tolist()],
        [value if np.isfinite(value) else None for value in values.tolist()],
    )


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Return which of ``values (n,)``, n > most, are kept: increasing indices, `most` at most.

    Of each of equally long stretches the places of its least and its greatest value. A stretch's first value stands in
    for both where it is no number; infinities count.
    """
    edges = np.linspace(0, len(values), (most - 2) // 2 + 1).astype(int)
    low, high = (np.where(np.isnan(values), fill, values) for fill in (np.inf, -np.inf))
    kept = {0, len(values) - 1}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        kept |= {start + int(low[start:end].argmin()), start + int(high[start:end].argmax())}
    return np.array(sorted(kept))
