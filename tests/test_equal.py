"""Lines at equal steps, updates and minutes: where they are compared, whose minutes count, what is said."""

import numpy as np
import pytest
from made_archives import START, archive

from comparison.archives import read_runs
from comparison.equal import AT_END, MEAN, equals, machines_of, pairs
from comparison.equal_tables import at_equal, equal_tables
from comparison.group_charts import curves
from comparison.pooling import Choice, pool
from comparison.series import Series, until

OTHER = {"host": {"hostname": "lab-9", "cpu": "another CPU"}}
LAB = "lab-3 (a CPU)"


def group_of(root):
    (group,) = pool(read_runs([root]), Choice()).groups
    return group


@pytest.fixture
def race(tmp_path):
    """Two lines of five seeds: per step the slow one is as good, per minute not, and it takes twice the updates."""
    for seed in range(1, 6):
        wiggle = seed / 1000
        archive(tmp_path, "qmix", seed, seed, values=(0.0, 0.4 + wiggle, 0.8 + wiggle), t_max=1000)
        archive(tmp_path, "mmsa", seed, seed, values=(0.0, 0.0, 0.4 + wiggle, 0.6, 0.8 + wiggle), t_max=1000,
                steps=[0, 250, 500, 750, 1000], updates_per_run=4)  # fmt: skip
    return tmp_path


def test_every_axis_ends_where_the_first_run_does(race):
    found = {equal.axis: equal for equal in equals(group_of(race))}
    assert list(found) == ["steps", "updates", "minutes"] and found["minutes"].machine == LAB
    assert found["steps"].end == 1000 and found["minutes"].end == 60  # half an hour per evaluation
    per_round, rounds = 2, 1000 // 5 / 4
    assert found["updates"].end == per_round * (rounds - 1)  # of QMIX, which takes fewer; the first round fills a batch
    wiggles = np.arange(1, 6) / 1000
    np.testing.assert_allclose(found["steps"].scores["mmsa"][AT_END], 0.8 + wiggles)
    np.testing.assert_allclose(found["minutes"].scores["mmsa"][AT_END], 0.4 + wiggles)
    np.testing.assert_allclose(found["minutes"].scores["qmix"][AT_END], 0.8 + wiggles)
    np.testing.assert_allclose(found["steps"].scores["qmix"][MEAN], 0.4 + 0.75 * wiggles)
    np.testing.assert_allclose(found["minutes"].scores["mmsa"][MEAN], (0.4 + wiggles) / 4)


def test_each_axis_has_a_verdict_of_its_own(race):
    group = group_of(race)
    said = {equal.axis: next(pairs(group, equal)).says for equal in equals(group)}
    assert said["steps"][AT_END].startswith("no clear difference")
    assert said["minutes"][AT_END].startswith("qmix is better:")
    steps, updates, minutes = at_equal(group)
    assert "mean up to 1,000 of environment steps: " in steps and "updates" in updates
    assert minutes.endswith(f"mean up to 60.0 of wall-clock time on {LAB}: qmix is better than mmsa.")
    scores, verdicts = equal_tables([group])
    assert len(scores.shown) == 6 and len(verdicts.shown) == 3
    assert verdicts.data.loc[2, "value there"].startswith("qmix is better")


def test_few_seeds_carry_no_verdict(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    archive(tmp_path, "vdn", 1, 1)
    assert all(sentence.endswith("no verdict.") for sentence in at_equal(group_of(tmp_path)))
    assert not equal_tables([group_of(tmp_path / "sacred")])[1].data["value there"].str.startswith("better").any()


def test_minutes_of_two_machines_are_never_mixed(race):
    for seed in (6, 7):
        archive(race, "qmix", seed, seed, values=(0.0, 0.1, 0.2), t_max=1000, status=OTHER)
    archive(race, "vdn", 1, 1, values=(0.0, 0.1, 0.2), t_max=1000, status=OTHER)
    group = group_of(race)
    assert machines_of(group) == [LAB, "lab-9 (another CPU)"]
    first, second = (equal for equal in equals(group) if equal.axis == "minutes")
    assert {label: len(scores[MEAN]) for label, scores in first.scores.items()} == {"mmsa": 5, "qmix": 5}
    assert {label: len(scores[MEAN]) for label, scores in second.scores.items()} == {"qmix": 2, "vdn": 1}
    chart = curves(group, "x")
    steps, _, minutes = chart.panels
    assert [stroke.label for stroke in steps.strokes] == ["mmsa (5 seeds)", "qmix (7 seeds)", "vdn (1 seed)"]
    assert [stroke.label for stroke in minutes.strokes] == ["mmsa (5 seeds)", "qmix (5 seeds)"]
    assert minutes.title == "against wall-clock time on lab-3" and minutes.strokes[0].x[-1] == 120
    assert f"Minutes are those of {LAB} alone" in chart.caption and "3 runs of other machines" in chart.caption


def test_what_of_a_machine_is_used_counts_and_who_moved_has_no_minutes(tmp_path):
    archive(tmp_path, "qmix", 1, 1, device="cpu", threads=1)
    archive(tmp_path, "qmix", 2, 2, device="cpu", threads=2)
    again = {"time": START.isoformat(), "t_env": 100, "machine": "lab-9"}
    archive(tmp_path, "qmix", 3, 3, info={"machine": "lab-3", "resumed": [again]})
    archive(tmp_path, "qmix", 4, 4, status={"host": None})
    machines = [run.machine for run in read_runs([tmp_path])]
    assert machines == [f"{LAB}, device=cpu, threads=1", f"{LAB}, device=cpu, threads=2", "", ""]


def test_a_series_ends_with_its_value_where_it_is_cut():
    series = Series(np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 0.0]))
    for end, places, values in ((15, [0, 10, 15], [0, 1, 0.5]), (10, [0, 10], [0, 1]), (20, [0, 10, 20], [0, 1, 0])):
        cut = until(series, end)
        assert cut.steps.tolist() == places and cut.values.tolist() == values
