"""All tasks together, through rliable (Agarwal et al., 2021): interquartile means, profiles, probabilities.

Letters: s runs, m tasks (groups), p points on the axis of steps. Scores are normalised, see `ranges`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from rliable import library, metrics
from scipy.stats import trim_mean

from comparison.pooling import Group, Line, Member
from comparison.ranges import Range
from comparison.scores import score
from comparison.verdicts import basis

RESAMPLES = 2000
POINTS = 21  # of sample-efficiency curves
THRESHOLDS = np.linspace(0, 1, 51)  # of performance profiles


class Curve(NamedTuple):
    """A line with its band, (p,) each; bounds are NaN where a single run tells of no spread."""

    x: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Aggregates:
    """Every line that all groups have, by label.

    `score`: what was aggregated, one of `scores.SCORES`. `seeds`: how many runs per task were taken of each line.
    `iqm`: (3,), the interquartile mean with its bounds. `improvement`: the probability that a run of the first beats
    one of the second on the same task, (3,). `efficiency`: the interquartile mean against environment steps.
    """

    tasks: tuple[str, ...]
    score: str
    seeds: Mapping[str, int]
    iqm: Mapping[str, np.ndarray]
    profiles: Mapping[str, Curve]
    improvement: Mapping[tuple[str, str], np.ndarray]
    efficiency: Mapping[str, Curve]


def aggregate(groups: Sequence[Group], ranges: Mapping[str, Range]) -> Aggregates | None:
    """Return what all groups say together of our lines that all of them have; None where there is no such line."""
    labels = [
        line.label for line in (groups[0].lines if groups else ())
        if not line.framework and all(line.label in {other.label for other in group.lines} for group in groups)
    ]  # fmt: skip
    if not labels:
        return None
    members = {label: _members(groups, label) for label in labels}
    name = "absolute" if all(basis(group) == "absolute" for group in groups) else "final"
    final = {label: score_matrix(groups, mine, name, ranges) for label, mine in members.items()}
    axis = _axis(members)
    curves = {label: curve_matrix(groups, mine, axis, ranges) for label, mine in members.items()}
    with seeded():
        return Aggregates(
            tasks=tuple(group.title for group in groups),
            score=name,
            seeds={label: len(matrix) for label, matrix in final.items()},
            iqm={label: iqm(matrix) for label, matrix in final.items()},
            profiles={label: profile(matrix) for label, matrix in final.items()},
            improvement={(a, b): improvement(final[a], final[b]) for a, b in combinations(labels, 2)},
            efficiency={label: efficiency(axis, matrix) for label, matrix in curves.items()},
        )


def _members(groups: Sequence[Group], label: str) -> list[Sequence[Member]]:
    """Return a line's runs in every group: as many everywhere as where there are fewest, those of the lowest seeds."""
    lines: list[Line] = [next(line for line in group.lines if line.label == label) for group in groups]
    fewest = min(len(line.members) for line in lines)
    return [line.members[:fewest] for line in lines]


def score_matrix(
    groups: Sequence[Group], members: Sequence[Sequence[Member]], name: str, ranges: Mapping[str, Range]
) -> np.ndarray:
    """Return normalised scores, (s, m)."""
    return np.array([
        [ranges[group.title].normalised(score(member, name, group.metric)) for member in mine]
        for group, mine in zip(groups, members, strict=True)
    ]).T  # fmt: skip


def curve_matrix(
    groups: Sequence[Group], members: Sequence[Sequence[Member]], axis: np.ndarray, ranges: Mapping[str, Range]
) -> np.ndarray:
    """Return normalised evaluations, interpolated at ``axis (p,)``: (s, m, p)."""
    return np.array([
        [ranges[group.title].normalised(np.interp(axis, m.evaluations.steps, m.evaluations.values)) for m in mine]
        for group, mine in zip(groups, members, strict=True)
    ]).transpose(1, 0, 2)  # fmt: skip


def _axis(members: Mapping[str, Sequence[Sequence[Member]]]) -> np.ndarray:
    """Return the points that every run of every line has reached, (p,)."""
    evaluations = [m.evaluations for mine in members.values() for line in mine for m in line]
    first, last = max(e.steps[0] for e in evaluations), min(e.steps[-1] for e in evaluations)
    return np.linspace(first, max(first, last), POINTS)


def iqm(matrix: np.ndarray) -> np.ndarray:
    """Return the interquartile mean of ``scores (s, m)`` and its 95% bounds, by resampling runs within tasks."""
    return _interval({"line": matrix}, lambda x: np.array([metrics.aggregate_iqm(x)]))[:, 0]


def profile(matrix: np.ndarray) -> Curve:
    """Return which share of runs scored more than each of `THRESHOLDS`."""
    centre, bounds = library.create_performance_profile({"line": matrix}, THRESHOLDS, reps=RESAMPLES)
    return Curve(THRESHOLDS, centre["line"], *_or_nan(bounds["line"], len(matrix)))


def improvement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return P(a run of ``first (s, m)`` scores more than one of ``second``), the mean over tasks, and its bounds."""
    return _interval({"pair": (first, second)}, share_of_wins)[:, 0]


def share_of_wins(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return in which share of the pairs of runs on one task the first scored more, (1,); a draw is half a win.

    The estimate of `rliable.metrics.probability_of_improvement`, fifty times as fast.
    """
    signs = np.sign(first[:, None] - second[None])  # (s, s', m)
    return np.array([0.5 + 0.5 * signs.mean()])


def efficiency(axis: np.ndarray, matrix: np.ndarray) -> Curve:
    """Return the interquartile mean of ``evaluations (s, m, p)`` at every point."""
    found = _interval({"line": matrix}, iqm_at_points)
    return Curve(axis, *found)


def iqm_at_points(matrix: np.ndarray) -> np.ndarray:
    """Return `rliable.metrics.aggregate_iqm` of ``(s, m, p)`` at every point, (p,), at once."""
    return trim_mean(matrix.reshape(-1, matrix.shape[-1]), proportiontocut=0.25, axis=0)


def _interval(scores: Mapping[str, np.ndarray | tuple[np.ndarray, ...]], func: object) -> np.ndarray:
    """Return rliable's estimate and 95% bounds of the one thing in `scores`, (3, ...)."""
    centres, bounds = library.get_interval_estimates(scores, func, reps=RESAMPLES)
    ((name, matrices),) = scores.items()
    fewest = min(map(len, matrices)) if isinstance(matrices, tuple) else len(matrices)
    return np.concatenate([centres[name][None], _or_nan(bounds[name], fewest)])


def _or_nan(bounds: np.ndarray, runs: int) -> np.ndarray:
    """Return ``bounds (2, ...)``, or NaN for a single run: resampled, it gives itself, and an interval of no width."""
    return bounds if runs > 1 else np.full_like(bounds, np.nan)


@contextmanager
def seeded() -> Iterator[None]:
    """Resample the same way every time: rliable 1.2.0 draws from NumPy's global generator, whatever it is given."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
