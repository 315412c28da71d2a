"""Means with 95% confidence bands, by bootstrap over episodes.

Rows of one episode resemble each other, so it is episodes that are drawn again, with all their rows (a cluster
bootstrap). Letters: n rows, m episodes among them.
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


class Band(NamedTuple):
    """A mean over rows, and where it lies in 95% of the resamples; `low` and `high` are NaN for a single episode."""

    mean: float
    low: float
    high: float
    rows: int


def mean_band(values: np.ndarray, episodes: np.ndarray) -> Band:
    """Return the mean of ``values (n,)``, of which each belongs to an episode ``(n,)``, with its band."""
    return ratio_band(values, np.ones(len(values)), episodes)


def ratio_band(values: np.ndarray, others: np.ndarray, episodes: np.ndarray) -> Band:
    """Return the mean of ``values (n,)`` over that of ``others (n,)``, with its band; NaN where `others` are all 0.

    Both come from the same rows and are drawn again together, so what makes an episode hard for both cancels.
    """
    _, place = np.unique(episodes, return_inverse=True)
    above, below = (np.bincount(place, weights=x.astype(np.float64)) for x in (values, others))  # (m,) each
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = above.sum() / below.sum()
        if len(above) < 2:
            return Band(_number(mean), np.nan, np.nan, len(values))
        drawn = np.random.default_rng(0).multinomial(len(above), np.full(len(above), 1 / len(above)), RESAMPLES)
        low, high = np.percentile((drawn @ above) / (drawn @ below), PERCENTILES)
    return Band(_number(mean), _number(low), _number(high), len(values))


def _number(x: float) -> float:
    return float(x) if np.isfinite(x) else np.nan
