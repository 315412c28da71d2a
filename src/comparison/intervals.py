"""Many runs' values as one, with bounds. Letters: s runs, one per seed."""

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student_t

LEVEL = 0.95
QUARTILES = (25, 75)


class Summary(NamedTuple):
    """The centre of some runs' scores and its bounds; NaN where there are too few runs to tell."""

    centre: float
    low: float
    high: float
    runs: int


def mean_interval(values: np.ndarray) -> np.ndarray:
    """Return mean, low and high of ``values (s, ...)`` over runs, ``(3, ...)``: Student's 95% interval of the mean.

    The bounds are NaN for a single run. Nothing is clipped: an interval may leave the range of the values.
    """
    runs = len(values)
    mean = values.mean(axis=0)
    if runs < 2:
        return np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)])
    half = student_t.ppf((1 + LEVEL) / 2, runs - 1) * values.std(axis=0, ddof=1) / np.sqrt(runs)
    return np.stack([mean, mean - half, mean + half])


class Difference(NamedTuple):
    """The difference of two means and the bounds of its 95% interval; NaN where there are too few runs to tell."""

    centre: float
    low: float
    high: float


def difference(one: np.ndarray, other: np.ndarray) -> Difference:
    """Return the mean of ``one (s,)`` less that of ``other (s',)``, with Welch's interval: variances may differ.

    Runs of one seed are no pairs: methods that see other observations share nothing but the number.
    """
    centre = float(one.mean() - other.mean())
    if min(len(one), len(other)) < 2 or one.std() + other.std() == 0:
        return Difference(centre, np.nan, np.nan)
    squares = [found.var(ddof=1) / len(found) for found in (one, other)]  # of the means' standard errors
    freedom = sum(squares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(squares, (one, other), strict=True))
    half = float(student_t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(sum(squares)))
    return Difference(centre, centre - half, centre + half)


def median_quartiles(values: np.ndarray) -> np.ndarray:
    """Return median, lower and upper quartile of ``values (s, ...)`` over runs, ``(3, ...)``."""
    low, centre, high = np.percentile(values, [QUARTILES[0], 50, QUARTILES[1]], axis=0)
    if len(values) < 2:
        low = high = np.full_like(centre, np.nan)
    return np.stack([centre, low, high])


STATISTICS = {"mean_interval": mean_interval, "median_quartiles": median_quartiles}
SAYS = {"mean_interval": "mean and 95% interval over seeds", "median_quartiles": "median and quartiles over seeds"}


def summary(values: np.ndarray, statistic: str) -> Summary:
    """Return the centre and bounds of ``values (s,)``; all NaN where any is."""
    return Summary(*map(float, STATISTICS[statistic](values)), len(values))
