"""Archives as the report reads them: what is whole, what is not, and its evaluations against three axes."""

import os
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from made_archives import archive, series, write
from tiny_runs import play, read

from comparison.archives import moment, read_runs
from comparison.evaluations import evaluations_of, smoothed
from training.checkpoint import last_checkpoint
from utils.errors import UserError

NOW = datetime(2026, 1, 1, 12, 1, tzinfo=UTC)
METRIC = "test_return_mean"


def one(folder):
    (run,) = read_runs([folder])
    return run


def test_runs_are_found_once_in_the_order_of_their_numbers(tmp_path):
    folders = [archive(tmp_path, "qmix", number, 1) for number in (10, 2, 1)]
    checkpoint = folders[0] / "checkpoints" / "t_100"
    checkpoint.mkdir(parents=True)
    (checkpoint / "metrics.json").write_text("{}")  # holds figures, and is no run
    found = read_runs([tmp_path, tmp_path / "sacred" / ".." / "sacred", folders[0]])
    assert [run.folder.name for run in found] == ["1", "2", "10"]
    assert not any(run.problem for run in found)
    with pytest.raises(UserError, match="nowhere: no run here"):
        read_runs([tmp_path / "nowhere"])


def test_a_folder_with_nothing_in_it_is_a_run_that_cannot_be_used(tmp_path):
    folder = tmp_path / "sacred" / "task" / "qmix" / "3"
    folder.mkdir(parents=True)
    run = one(tmp_path)
    assert run.folder == folder and run.problem.count("is missing") == 3
    assert run.algorithm == "qmix" and run.task == "task" and run.ended(NOW) == "unknown"


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("config.json", '{"name": "qm', "config.json cannot be read"),
        ("metrics.json", "", "metrics.json cannot be read"),
        ("metrics.json", "[" * 100_000, "metrics.json cannot be read"),
        ("run.json", "[1]", "run.json holds no names"),
        ("info.json", "nothing", "info.json cannot be read"),
        ("config.json", '{"name": "qmix", "seed": true}', "env, env_args, t_max"),
        ("config.json", '{"name": "qmix", "seed": true}', "seed"),
        ("metrics.json", '{"a": {"steps": [1, 2], "values": [1], "timestamps": ["", ""]}}', "a is damaged"),
        ("metrics.json", '{"a": {"steps": [2, 1], "values": [1, 2], "timestamps": ["", ""]}}', "a is damaged"),
        ("metrics.json", '{"a": {"steps": [1, 1e999], "values": [1, 2], "timestamps": ["", ""]}}', "a is damaged"),
        ("metrics.json", '{"a": {"steps": [1], "values": ["2"], "timestamps": [""]}}', "a is damaged"),
        ("metrics.json", '{"a": {"steps": [], "values": [], "timestamps": []}}', "a is damaged"),
        ("metrics.json", '{"a": {"steps": [1], "values": [1], "timestamps": 7}}', "a is damaged"),
        ("metrics.json", f'{{"a": {{"steps": [1], "values": [1{"0" * 400}], "timestamps": [""]}}}}', "a is damaged"),
        ("metrics.json", '{"a": 3}', "a is damaged"),
    ],
)
def test_what_is_damaged_is_told_and_nothing_is_raised(tmp_path, name, content, said):
    folder = archive(tmp_path, "qmix", 1, 1)
    (folder / name).write_text(content)
    assert said in one(folder).problem


def test_bytes_that_are_no_text_are_told(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1)
    (folder / "metrics.json").write_bytes(b"\xff\xfe\x00")
    assert "metrics.json cannot be read" in one(folder).problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1)
    (folder / "metrics.json").chmod(0)
    assert "metrics.json cannot be read" in one(folder).problem


@pytest.mark.parametrize(
    "status, said",
    [
        ({"status": "COMPLETED"}, "completed"),
        ({"status": "INTERRUPTED"}, "interrupted"),
        ({"status": "RUNNING"}, "still running"),
        ({"status": "RUNNING", "heartbeat": "2026-01-01T11:00:00"}, "died: last heartbeat 2026-01-01 11:00 UTC"),
        ({"status": "RUNNING", "heartbeat": None}, "unknown: no heartbeat"),
        ({"status": "FAILED", "fail_trace": ["Traceback\n", "ValueError: x\n"]}, "failed: ValueError: x"),
        ({"status": "FAILED"}, "failed"),
        ({"status": 7}, "unknown"),
    ],
)
def test_how_a_run_ended(tmp_path, status, said):
    assert one(archive(tmp_path, "qmix", 1, 1, status=status)).ended(NOW) == said


@pytest.mark.parametrize("told, status, steps", [
    ({"t_env": 1500}, "FAILED", 1500), ({"t_env": 1500}, "COMPLETED", None), ({"t_env": "x"}, "FAILED", None),
    ("x", "FAILED", None), (None, "FAILED", None),
])  # fmt: skip
def test_where_a_run_diverged(tmp_path, told, status, steps):
    run = one(archive(tmp_path, "qmix", 1, 1, info={"diverged": told}, status={"status": status}))
    assert run.diverged == steps and (run.ended(NOW) == "diverged at 1,500 steps") == (steps is not None)


def test_times_of_the_archive_are_utc_wherever_they_are_read(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for text in ("2026-01-01T10:00:00", "2026-01-01T10:00:00+00:00"):
            assert moment(text) == datetime(2026, 1, 1, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_evaluations_against_wall_clock(tmp_path):
    evaluations = evaluations_of(one(archive(tmp_path, "qmix", 1, 1)), METRIC)
    assert evaluations.steps.tolist() == [0, 100, 200] and evaluations.values.tolist() == [0, 0.5, 1]
    assert evaluations.hours.tolist() == [0, 0.5, 1]


def test_the_time_in_which_a_run_was_stopped_does_not_count(tmp_path):
    # Its figures of step 100 came after half an hour, those of step 200 after an hour, of which 20 minutes stood still.
    resumed = {"resumed": [{"t_env": 100, "time": "2026-01-01T10:50:00+00:00", "commit": "0"}]}
    folder = archive(tmp_path, "qmix", 1, 1, info=resumed, status={"start_time": "2026-01-01T10:50:00"})
    assert evaluations_of(one(folder), METRIC).hours == pytest.approx([0, 0.5, 1 - 20 / 60])


@pytest.mark.parametrize("times", [["when", "then", "now"], [None] * 3])
def test_without_times_there_is_no_wall_clock(tmp_path, times):
    folder = archive(tmp_path, "qmix", 1, 1)
    metrics = read(folder, "metrics.json")
    metrics[METRIC]["timestamps"] = times
    write(folder, "metrics.json", metrics)
    assert evaluations_of(one(folder), METRIC).hours is None


@pytest.mark.parametrize("info", [{"resumed": [3]}, {"resumed": [{"t_env": 100, "time": "soon"}]}])
def test_a_stop_that_cannot_be_read_leaves_no_wall_clock(tmp_path, info):
    assert evaluations_of(one(archive(tmp_path, "qmix", 1, 1, info=info)), METRIC).hours is None


def test_updates_are_counted_as_a_real_run_takes_them(tmp_path):
    folder = play("qmix", results=tmp_path, log_interval="1", batch_size="10", updates_per_run="3")
    evaluations = evaluations_of(one(folder), METRIC)
    numbers = read(last_checkpoint(folder), "numbers.json")
    assert evaluations.steps[-1] == numbers["t_env"]
    assert evaluations.updates[-1] == numbers["learner"]["updates"] > 20 and evaluations.updates[0] == 0


def test_updates_go_on_at_the_same_pace_behind_the_last_count(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1, values=(0.0, 0.5, 1.0))
    metrics = read(folder, "metrics.json")
    metrics["episode"] = series([100], [20], [1800])
    write(folder, "metrics.json", metrics)
    # 20 episodes in 100 steps, 4 a round; a batch of 8 is full after the second round.
    assert evaluations_of(one(folder), METRIC).updates.tolist() == [0, 2 * (5 - 1), 2 * (10 - 1)]


def test_a_run_that_began_from_a_checkpoint_does_not_tell_its_updates(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1, checkpoint_path="elsewhere")
    assert evaluations_of(one(folder), METRIC).updates is None


def test_what_cannot_be_drawn_is_refused_with_a_reason(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1, values=(0.0, float("nan"), 1.0))
    with pytest.raises(UserError, match="not always a number"):
        evaluations_of(one(folder), METRIC)
    with pytest.raises(UserError, match="no test_battle_won_mean"):
        evaluations_of(one(folder), "test_battle_won_mean")


def test_of_several_evaluations_at_one_place_the_last_counts(tmp_path):
    evaluations = evaluations_of(one(archive(tmp_path, "qmix", 1, 1, values=(0.1, 0.2, 0.3, 0.4))), METRIC)
    flat = evaluations._replace(updates=np.array([0.0, 0.0, 2.0, 4.0]))
    places, values = flat.against("updates")
    assert places.tolist() == [0, 2, 4] and values.tolist() == [0.2, 0.3, 0.4]
    assert flat._replace(hours=None).against("minutes") is None


def test_smoothing_is_the_mean_of_the_last_few(tmp_path):
    values = [1.0, 2.0, 6.0, 0.0, 5.0]
    evaluations = evaluations_of(one(archive(tmp_path, "qmix", 1, 1, values=values)), METRIC)
    slow = [np.mean(values[max(0, i - 2) : i + 1]) for i in range(5)]
    assert smoothed(evaluations, 3).values == pytest.approx(slow)
    assert smoothed(evaluations, 1).values == pytest.approx(values)
