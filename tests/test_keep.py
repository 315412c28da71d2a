"""`study.py keep`: what is committed of runs says in a report what the whole archives say."""

from pathlib import Path

import numpy as np
import pytest
from made_archives import archive, series, write
from tiny_runs import files

import study
from comparison.archives import read_run, read_runs
from comparison.evaluations import evaluations_of

METRIC = "test_return_mean"


@pytest.fixture
def results(tmp_path):
    for number, seed in enumerate((3, 4), start=1):
        folder = archive(tmp_path / "results", "vdn", number, seed, values=(0.0, 0.25 * seed, 0.5), absolute=0.75)
        more = {name: series([1], [2.0], [1]) for name in ("loss_td", "greedy_changed")}
        write(folder, "metrics.json", read_run(folder).metrics | more)
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "weights").write_bytes(b"x" * 1000)
        (folder / "cout.txt").write_text("a log")
    return tmp_path / "results"


def keep(*words):
    return study.main(["keep", *map(str, words)])


def test_what_is_kept_is_read_as_the_whole_is(results, tmp_path, capsys):
    assert keep(results, "--out", tmp_path / "kept") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'kept'}: 2 runs more, 2 in all\n"
    for whole, kept in zip(read_runs([results]), read_runs([tmp_path / "kept"]), strict=True):
        assert (kept.config, kept.status, kept.info, kept.task) == (whole.config, whole.status, whole.info, whole.task)
        for one, other in zip(evaluations_of(whole, METRIC), evaluations_of(kept, METRIC), strict=True):
            np.testing.assert_equal(one, other)
        assert kept.metrics == {name: value for name, value in whole.metrics.items() if name != "loss_td"}
        assert {str(path) for path in files(kept.folder)} == {f"{n}.json" for n in ("config", "run", "info", "metrics")}
    assert keep(results, "--out", tmp_path / "more", "--metric", "loss_td") == 0
    assert [run.metrics for run in read_runs([tmp_path / "more"])] == [run.metrics for run in read_runs([results])]


def test_a_run_is_kept_once_and_others_come_beside_it(results, tmp_path, capsys):
    for _ in range(2):
        assert keep(results, "--out", tmp_path / "kept") == 0
    archive(tmp_path / "later", "vdn", 1, 5)
    before = files(tmp_path / "kept")
    assert keep(tmp_path / "later", "--out", tmp_path / "kept") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{tmp_path / 'kept'}: 0 runs more, 2 in all", f"{tmp_path / 'kept'}: 1 runs more, 3 in all"
    ]  # fmt: skip
    assert [run.config["seed"] for run in read_runs([tmp_path / "kept"])] == [3, 4, 5]
    assert before.items() <= files(tmp_path / "kept").items()


def test_what_is_not_whole_is_left_out_by_name(results, tmp_path, capsys):
    running = archive(results, "qmix", 1, 1, status={"status": "INTERRUPTED"})
    broken = archive(results, "qmix", 2, 2)
    (broken / "metrics.json").write_text("{")
    assert keep(results, "--out", tmp_path / "kept") == 0
    said = capsys.readouterr().out
    assert f"note: {running} is left out: interrupted\n" in said
    assert f"note: {broken} is left out: metrics.json cannot be read" in said and "2 runs more" in said


def test_a_run_that_diverged_is_a_result_and_kept(results, tmp_path):
    info, status = {"diverged": {"t_env": 150}}, {"status": "FAILED", "fail_trace": ["RunFailedError: NaN"]}
    archive(results, "qmix", 1, 1, values=(0.0, 0.5), steps=[0, 100], info=info, status=status)
    assert keep(results, "--out", tmp_path / "kept") == 0
    assert [run.diverged for run in read_runs([tmp_path / "kept"])] == [150, None, None]


def test_what_cannot_be_written_is_one_line_and_leaves_nothing_half(results, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    assert keep(results, "--out", tmp_path / "kept") == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err and err.count("\n") == 1 and not files(tmp_path / "kept")
    assert keep(tmp_path / "nothing", "--out", tmp_path / "kept") == 2
