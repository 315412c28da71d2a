"""`threads=auto`: measured at the start, written into the archive, and without a trace in the run."""

import json
from datetime import UTC, datetime

import pytest
import torch as th
from test_resume import figures
from tiny_runs import DREAMS, LBF, play, read, settings_of, words

import main
from settings import resolve
from training import threads
from training.assembly import build
from training.observer import ArchiveObserver
from utils.cores import cores_here


@pytest.fixture(autouse=True)
def threads_as_before():
    before = th.get_num_threads()
    yield
    th.set_num_threads(before)


def built(alg, **settings):
    return build(resolve(alg, "lbf", settings_of("lbf", **settings), main.CONFIG_DIR))


@pytest.mark.parametrize(
    ("times", "chosen"),
    [({1: 1.0, 2: 0.6, 3: 0.5}, 3), ({1: 1.0, 2: 0.6, 3: 0.7}, 2), ({1: 1.0, 2: 0.97, 3: 2.0}, 1), ({1: 1.0}, 1)],
)
def test_the_fastest_number_is_taken_and_never_one_slower_than_one_thread(times, chosen, monkeypatch):
    monkeypatch.setattr(threads, "cores_here", lambda: max(times))
    monkeypatch.setattr(threads.Trial, "seconds", lambda self, count: times[count])
    run = built("vdn", threads="auto")
    assert run.args.threads == chosen and (run.side_by_side is not None) == (chosen > 1)
    assert [note for note in run.notes if note.startswith(f"threads=auto: {chosen}")]
    run.close()


def test_a_run_whose_threads_chose_themselves_is_the_run_with_that_number(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "cores_here", lambda: 2)
    monkeypatch.setattr(threads, "can_divide", lambda learner, threads: False)  # starting processes takes long
    monkeypatch.setattr(threads, "GAIN", 0.0)
    chose = play("mmsa", "matrix_game", tmp_path / "auto", threads="auto", t_max="40")
    assert read(chose, "config.json")["threads"] == 1
    assert figures(chose) == figures(play("mmsa", "matrix_game", tmp_path / "one", threads="1", t_max="40"))
    monkeypatch.setattr(threads, "fastest_threads", lambda run: pytest.fail("measured again"))
    assert main.main([f"resume={chose}", "with", "t_max=44"]) == 0


@pytest.mark.parametrize(("alg", "settings"), [("vdn", {}), ("mappo", {}), ("dreamer", DREAMS)])
def test_a_trial_takes_updates_of_a_copy(alg, settings):
    run = built(alg, **settings)
    before = {name: value.clone() for name, value in run.learner.state_tensors().items()}
    trial = threads.Trial(run)
    assert trial.seconds(1) > 0
    assert trial.learner.updates > 0 and (run.learner.updates, run.experience.inserted) == (0, 0)
    assert all(th.equal(value, before[name]) for name, value in run.learner.state_tensors().items())
    changed = trial.learner.state_tensors()
    assert any(not th.equal(changed[name], value) for name, value in before.items())
    run.close()


def test_what_processes_cannot_share_is_said():
    run = built("mappo", threads="2")
    assert run.side_by_side is None and any("not shared by processes" in note for note in run.notes)
    run.close()


@pytest.mark.parametrize("word", ["automatic", "0", "1.5", ""])
def test_no_other_word_is_a_number_of_threads(word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(words("vdn", "lbf", LBF | {"threads": word})) == 2
    assert "must be an int in [1, 1024] or auto" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_groups_quota_limits_the_cores(said, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(said)
    assert cores_here(tmp_path) == (cores or cores_here(tmp_path / "none"))


def test_figures_are_written_less_often_the_longer_that_takes_and_all_at_the_end(tmp_path, monkeypatch):
    observer, clock = ArchiveObserver(tmp_path, tmp_path), [100.0]
    observer.dir, observer.run_entry = str(tmp_path), {}
    monkeypatch.setattr("training.observer.time.monotonic", lambda: clock[0])
    save, written = observer._save, []

    def slow_save(obj, path):
        written.append(path.name)
        clock[0] += 2
        save(obj, path)

    monkeypatch.setattr(observer, "_save", slow_save)
    for n in range(30):
        observer.log_metrics({"loss": {"values": [n], "steps": [n], "timestamps": []}}, None)
        clock[0] += 10
    assert written.count("metrics.json") == 3  # once in 2 + 50 · 2 seconds
    observer.interrupted_event(datetime.now(UTC), "INTERRUPTED")
    assert json.loads((tmp_path / "metrics.json").read_text())["loss"]["values"] == list(range(30))
