"""Where the runs of a search are done: in processes on this machine, or on a Ray cluster, with the same figures."""

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import running, wait_until
from test_resume import same_run
from test_search import FILE, Here
from tiny_runs import MAIN, read

import study as program
from study_runs import search_command

optuna = pytest.importorskip("optuna")
STUDY = MAIN.with_name("study.py")
WAIT = 240  # seconds; each run begins with the import of Torch, which takes long on a busy machine
NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="no ray here: pip install -r requirements-ray.txt")
PLACES = [["--jobs", "2"], pytest.param(["--ray", "local"], marks=NEEDS_RAY)]
ENDLESS = FILE.replace("t_max: 36", "t_max: 90000000").replace("[1]", "[1, 2]")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folders(results="results"):
    return sorted(path.parent for path in Path(results).rglob("config.json") if "checkpoints" not in path.parts)


def at_work():
    """Return the runs that have trained a while."""
    return [folder for folder in folders() if (folder / "metrics.json").exists()]


@NEEDS_RAY
@pytest.mark.slow
def test_a_search_on_a_ray_cluster_has_the_figures_of_one_here(monkeypatch):
    Path("tiny.yaml").write_text(FILE.replace("[1]", "[1, 2]") + "rungs: 2\n")
    with running(STUDY, "search", "tiny.yaml", "--trials", "1", "--results", "there", "--ray", "local") as searching:
        out, err = searching.communicate(timeout=WAIT)
    assert searching.returncode == 0, err
    monkeypatch.setattr(search_command, "place_of", lambda running, address: Here())
    assert program.main(["search", "tiny.yaml", "--trials", "1", "--results", "here"]) == 0
    assert out.splitlines()[0].startswith("trial 0: ") and len(folders("here")) == 2
    for ours, theirs in zip(folders("here"), folders("there"), strict=True):
        assert ours.relative_to("here") == theirs.relative_to("there")
        same_run(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("words", PLACES)
def test_a_stop_reaches_the_runs_and_the_trial_is_the_next_one(words):
    Path("tiny.yaml").write_text(ENDLESS)
    with running(STUDY, "search", "tiny.yaml", *words) as searching:
        wait_until(lambda: len(at_work()) == 2 or searching.poll() is not None, WAIT)
        searching.send_signal(signal.SIGTERM)
        _, err = searching.communicate(timeout=WAIT)
    assert searching.returncode == 143 and "Traceback" not in err
    assert {read(folder, "run.json")["status"] for folder in folders()} == {"INTERRUPTED"}
    trials = optuna.load_study(study_name="tiny", storage="sqlite:///results/searches/tiny/search.db").trials
    assert [trial.state.name for trial in trials] == ["FAIL", "WAITING"]
    assert trials[1].system_attrs["fixed_params"] == trials[0].params


@NEEDS_RAY
@pytest.mark.parametrize(("words", "says"), [
    (["--ray", "127.0.0.1:1"], "no cluster there"),
    (["--ray", "local", "--jobs", "2"], "--jobs is for this machine"),
])  # fmt: skip
def test_a_mistake_with_ray_is_one_line_and_begins_nothing(words, says, capsys):
    Path("tiny.yaml").write_text(FILE)
    assert program.main(["search", "tiny.yaml", *words]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1 and not Path("results").exists()
