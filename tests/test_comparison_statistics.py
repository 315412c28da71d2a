"""The report's statistics against slow obvious forms and known values."""

from itertools import product

import numpy as np
import pytest
import scipy.stats

from comparison.intervals import Summary, difference, mean_interval, median_quartiles, summary
from comparison.series import area_under
from comparison.verdicts import judged

pytest.importorskip("rliable", reason="rliable is not installed: pip install -r requirements-report.txt")
from rliable import metrics

from comparison import aggregates

RNG = np.random.default_rng(0)


def slow_trimmed_mean(values):
    """The mean without the lowest and the highest quarter of the values, rounded down."""
    values = sorted(values)
    cut = len(values) // 4
    return sum(values[cut : len(values) - cut]) / (len(values) - 2 * cut)


def test_the_interval_of_a_mean_is_students():
    # For 1, 2, 3, 4, 5: mean 3, standard error sqrt(2.5 / 5), and t of 4 degrees of freedom is 2.776445.
    mean, low, high = mean_interval(np.array([1.0, 2, 3, 4, 5]))
    half = 2.776445105 * np.sqrt(0.5)
    assert (mean, low, high) == pytest.approx((3, 3 - half, 3 + half))


def test_the_interval_of_a_mean_holds_it_in_95_of_100_draws():
    _, low, high = mean_interval(RNG.normal(2.0, 3.0, (5, 20_000)))
    assert np.mean((low < 2) & (high > 2)) == pytest.approx(0.95, abs=0.006)


def test_intervals_of_curves_are_taken_point_by_point():
    values = RNG.random((4, 3))
    for statistic in (mean_interval, median_quartiles):
        assert statistic(values).T == pytest.approx(np.array([statistic(column) for column in values.T]))


def test_median_and_quartiles():
    assert median_quartiles(np.array([5.0, 1, 4, 2, 3])).tolist() == [3, 2, 4]


@pytest.mark.parametrize("statistic", [mean_interval, median_quartiles])
def test_a_single_run_has_no_interval(statistic):
    centre, low, high = statistic(np.array([0.7]))
    assert centre == 0.7 and np.isnan([low, high]).all()


def test_a_score_that_one_run_lacks_is_no_score_of_the_line():
    assert np.isnan(summary(np.array([1.0, np.nan]), "mean_interval")[:3]).all()
    assert summary(np.array([1.0, 3.0]), "median_quartiles") == Summary(2, 1.5, 2.5, 2)


def test_the_area_is_the_mean_height_of_the_curve():
    steps, values = np.array([0.0, 100, 400]), np.array([0.0, 1.0, 1.0])
    fine = np.linspace(0, 400, 400_001)
    assert area_under(steps, values) == pytest.approx(350 / 400)
    assert area_under(steps, values) == pytest.approx(np.interp(fine, steps, values).mean(), abs=1e-5)
    assert area_under(steps[:1], values[1:2]) == 1.0


def test_the_interquartile_mean_is_the_mean_of_the_middle_half():
    matrix = RNG.random((5, 3))
    assert aggregates.iqm(matrix)[0] == pytest.approx(slow_trimmed_mean(matrix.ravel()))
    curves = RNG.random((5, 3, 4))
    expected = [slow_trimmed_mean(curves[..., p].ravel()) for p in range(4)]
    assert aggregates.iqm_at_points(curves) == pytest.approx(expected)
    assert aggregates.iqm_at_points(curves) == pytest.approx([metrics.aggregate_iqm(curves[..., p]) for p in range(4)])


def test_bootstrap_intervals_resample_runs_within_tasks():
    matrix = np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
    rng, draws = np.random.default_rng(1), []
    for _ in range(4000):
        columns = [rng.choice(column, len(column)) for column in matrix.T]
        draws.append(slow_trimmed_mean(np.concatenate(columns)))
    with aggregates.seeded():
        _, low, high = aggregates.iqm(matrix)
    assert (low, high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.3)
    assert 5.0 < low < high < 7.0  # tasks mixed, bounds would lie far apart


def test_the_same_report_has_the_same_intervals_and_leaves_the_generator_alone():
    matrix = RNG.random((5, 2))
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    found = []
    for _ in range(2):
        with aggregates.seeded():
            found.append(aggregates.iqm(matrix).tolist())
    assert found[0] == found[1] and np.random.random() == expected


def test_the_probability_of_improvement_counts_pairs():
    first, second = RNG.integers(0, 4, (5, 3)).astype(float), RNG.integers(0, 4, (4, 3)).astype(float)
    wins = [
        (a > b) + 0.5 * (a == b) for m in range(3) for a, b in product(first[:, m], second[:, m])
    ]  # fmt: skip
    assert aggregates.share_of_wins(first, second) == pytest.approx([np.mean(wins)])
    assert aggregates.share_of_wins(first, second) == pytest.approx([metrics.probability_of_improvement(first, second)])
    centre, low, high = aggregates.improvement(first, second)
    assert centre == pytest.approx(np.mean(wins)) and 0 <= low < centre < high <= 1


def test_the_profile_is_the_share_of_runs_above_each_threshold():
    matrix = RNG.random((5, 2))
    profile = aggregates.profile(matrix)
    expected = [np.mean([score > tau for score in matrix.ravel()]) for tau in profile.x]
    assert profile.centre == pytest.approx(expected) and profile.centre[0] == 1 and profile.centre[-1] == 0
    assert (profile.low <= profile.centre).all() and (profile.centre <= profile.high).all()


def test_a_single_run_per_task_has_no_bootstrap_interval():
    lone = RNG.random((1, 3))
    assert np.isnan(aggregates.iqm(lone)[1:]).all() and np.isfinite(aggregates.iqm(lone)[0])
    assert np.isnan(aggregates.improvement(lone, RNG.random((5, 3)))[1:]).all()
    assert np.isnan(aggregates.profile(lone).low).all()


def test_a_difference_has_welchs_interval():
    one, other = np.array([0.9, 0.7, 0.8, 1.0, 0.6]), np.array([0.5, 0.1, 0.4])
    low, high = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert difference(one, other) == pytest.approx((0.8 - 1 / 3, low, high))
    assert difference(other, one) == pytest.approx((1 / 3 - 0.8, -high, -low))


@pytest.mark.parametrize("one, other", [([1.0], [0.5, 0.6]), ([1.0, 1.0], [0.5, 0.5])])
def test_a_difference_without_spread_has_no_interval(one, other):
    centre, low, high = difference(np.array(one), np.array(other))
    assert centre == pytest.approx(np.mean(one) - np.mean(other)) and np.isnan(low) and np.isnan(high)


@pytest.mark.parametrize(
    "higher, lower, forced, diverged, says",
    [
        ((0.9, 0.8, 1.0, 5), (0.5, 0.4, 0.6, 5), False, 0, "better"),
        ((0.9, 0.8, 1.0, 5), (0.5, 0.4, 0.6, 5), True, 0, "no verdict"),
        ((0.9, 0.8, 1.0, 4), (0.5, 0.4, 0.6, 5), False, 0, "no verdict"),
        ((0.9, 0.8, 1.0, 5), (0.5, 0.4, 0.6, 4), False, 0, "no verdict"),
        ((0.9, 0.6, 1.2, 5), (0.5, 0.4, 0.6, 5), False, 0, "no clear difference"),
        ((0.9, 0.5, 1.3, 9), (0.5, 0.4, 0.6, 9), False, 0, "no clear difference"),
        ((0.9, np.nan, np.nan, 5), (0.5, 0.4, 0.6, 5), False, 0, "no clear difference"),
        ((0.9, 0.8, 1.0, 5), (0.5, 0.4, 0.6, 5), False, 1, "no verdict: 1 of the higher one's 6 seeds diverged"),
    ],
)
def test_better_needs_five_seeds_and_intervals_apart_and_none_diverged(higher, lower, forced, diverged, says):
    assert judged(Summary(*higher), Summary(*lower), forced, diverged).startswith(says)
