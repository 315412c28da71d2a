"""The torture test finds what it looks for, and a short one finds nothing."""

import json
import os
import random
import shutil
import time
from dataclasses import replace
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from processes import wait_until
from tiny_runs import play, read

from benchmarks import torture
from study_runs import asked
from utils.stopping import listening


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return play("vdn", results=tmp_path_factory.mktemp("twin"), absolute_factor="1")


@pytest.fixture
def watched(twin, tmp_path):
    """A run that has come as far as its twin, in the study's folders, and the ledger that has seen it."""
    study = asked.read(torture.write_study(tmp_path, ["vdn"], 100), {})
    run = replace(study.runs[0], task=twin.parents[1].name)
    folder = shutil.copytree(twin, run.results / "sacred" / run.task / "vdn" / "1")
    ledger = torture.Ledger([run])
    ledger.look()
    return run, folder, ledger


def without_its_last_figure_and_two_rows(folder):
    metrics = read(folder, "metrics.json")
    for series in metrics["test_return_mean"].values():
        del series[-1]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = (folder / "eval_episodes.csv").read_text().splitlines(keepends=True)
    (folder / "eval_episodes.csv").write_text("".join(rows[:-2]))


def test_a_twin_that_differs_is_told_and_what_is_missing_is_counted(twin, watched):
    run, folder, ledger = watched
    assert ledger.judge(run, folder, twin) == ([], 0)
    without_its_last_figure_and_two_rows(folder)
    tensors = torture.checkpoints(folder)[-1] / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    assert ledger.judge(run, folder, twin) == (["figures", "eval_episodes.csv", "tensors.safetensors"], 3)
    shutil.rmtree(torture.checkpoints(folder)[-1])
    assert "the last checkpoint's step" in ledger.judge(run, folder, twin)[0]


def test_a_run_that_was_refused_must_hold_all_that_it_ever_had(twin, watched):
    run, folder, ledger = watched
    assert ledger.judge(run, None, twin) == (["not finished"], 0)
    aside = shutil.copytree(folder, folder / "aside" / "t_100_1")
    (aside / "metrics.json").rename(aside / "figures.json")
    without_its_last_figure_and_two_rows(folder)
    assert ledger.judge(run, None, twin) == (["not finished"], 0)  # put aside
    shutil.rmtree(aside)
    shutil.rmtree(folder / "checkpoints")
    assert ledger.judge(run, None, twin) == (["not finished"], 3)
    ledger.forget(folder)  # the monkey's doing
    assert ledger.judge(run, None, twin) == (["not finished"], 0)
    text = (folder / "metrics.json").read_text()
    (folder / "metrics.json").write_text(text.replace('"values": [', '"values": [9', 1))
    assert ledger.judge(run, None, twin)[0] == ["not finished", "figures"]


def test_a_run_begun_anew_in_another_folder_has_what_the_first_one_had(twin, watched):
    run, folder, ledger = watched
    shutil.copytree(folder, folder.with_name("2"))
    without_its_last_figure_and_two_rows(folder)
    shutil.rmtree(folder / "checkpoints")
    assert ledger.judge(run, None, twin) == (["not finished"], 0)


def test_folders_that_come_and_go_do_not_stop_the_monkey(tmp_path):
    done = Event()

    def come_and_go():
        while not done.is_set():
            (tmp_path / "checkpoints" / ".t_150.partial").mkdir(parents=True)
            shutil.rmtree(tmp_path / "checkpoints")

    thread = Thread(target=come_and_go)
    thread.start()
    try:
        assert all(torture.found_by(tmp_path, "**/config.json") == [] for _ in range(2000))
    finally:
        done.set()
        thread.join()


def test_a_file_of_a_run_without_checkpoints_is_cut(tmp_path):
    half_written = ("checkpoints/.t_150.partial/numbers.json", "replay/.e_0_4.safetensors.7.partial")
    for path in map(tmp_path.joinpath, ("run.json", *half_written)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}" * 1000)
    for seed in range(10):
        monkey = torture.Monkey(torture.Place(1), 1, False, random.Random(seed))
        monkey._cut(SimpleNamespace(kill=lambda: None), tmp_path)
    cut = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 2000]
    assert cut == ["run.json"]


@pytest.mark.parametrize("signum", torture.ASKS)
def test_a_process_that_is_forked_while_the_driver_listens_has_no_answer_to_signals_yet(signum, tmp_path):
    def works():
        (tmp_path / "works").touch()
        time.sleep(10)
        return 0

    with listening():
        pid = torture.forked(works, tmp_path / "log")
    wait_until((tmp_path / "works").exists)
    os.kill(pid, signum)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == -signum or (code == 1 and "KeyboardInterrupt" in (tmp_path / "log").read_text())


def test_the_monkey_waits_until_a_run_trains(tmp_path, monkeypatch):
    def begins(words):
        time.sleep(0.3)
        with listening():
            (tmp_path / "trains").touch()
            time.sleep(10)
        return 0

    monkeypatch.setattr(torture, "_main", begins)
    task = torture.Forked(torture.Work([], tmp_path, 1, tmp_path / "lock", tmp_path / "log"))
    torture.until_it_trains(task)
    assert task.poll() is None and (tmp_path / "trains").exists()
    task.kill()
    torture.until_it_trains(task)  # which has ended


@pytest.mark.slow
def test_every_run_equals_its_twin_after_forty_faults(tmp_path):
    monkey, told = torture.torture(tmp_path, ["vdn", "mmsa", "ia2c"], steps=2000, faults=40, seed=2)
    torture.report(monkey, told)
    assert sum(monkey.done.values()) == 40 and min(monkey.done.values()) >= 4
    assert {(tuple(found), lost) for _, found, lost, _ in told} == {((), 0)}
    assert monkey.both == 0
