"""A search: what its file may say, trials that stop at a rung and go on exactly, and a best config that runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_archives import series, write
from msgspec.structs import replace
from tiny_runs import play, read

import main
import study
from comparison.evaluations import Evaluations
from study_runs import driver, search_command
from study_runs.search_file import read_search
from utils.errors import UserError

optuna = pytest.importorskip("optuna")
FILE = """
config: vdn
env_config: matrix_game
settings: {batch_size: 4, batch_size_run: 4, test_nepisode: 1, test_interval: 8, device: cpu}
t_max: 36
seeds: [1]
space:
  lr: {low: 0.0001, high: 0.1, log: true}
  double_q: [true, false]
  rnn_hidden_dim: {low: 4, high: 8}
"""


class Here:
    """Does runs in this process, one at a time."""

    slots = at_once = 1

    def start(self, work):
        self.code = main.main(work.words)
        return self

    def poll(self):
        return self.code

    def interrupt(self):
        pass

    kill = close = interrupt


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "TICK", 0.001)
    monkeypatch.setattr(search_command, "place_of", lambda running, address: Here())
    path = Path("tiny.yaml")
    path.write_text(FILE)
    return path


def test_a_search_goes_on_where_it_was_stopped_and_its_best_runs(file, capsys, monkeypatch):
    seen = []

    class Stops(Here):
        def start(self, work):
            seen.append(work.words)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
                self.code = 128 + signal.SIGTERM
                return self
            return super().start(work)

    monkeypatch.setattr(search_command, "place_of", lambda running, address: Stops())
    assert study.main(["search", str(file), "--trials", "3"]) == 143
    assert [words[0].partition("=")[0] for words in seen] == ["--config", "resume", "resume"]
    assert seen[2][0] == seen[1][0] and seen[2][2] == "t_max=36"
    kept = optuna.load_study(study_name="tiny", storage="sqlite:///results/searches/tiny/search.db").trials
    assert [trial.state.name for trial in kept] == ["FAIL", "WAITING"]
    assert study.main(["search", str(file), "--trials", "3"]) == 0
    assert seen[3] == seen[2], "the rungs that were done are not done again"
    trials = list(Path("results/searches/tiny/trials").iterdir())
    assert len(trials) == 3, "each trial has settings of its own"
    said = capsys.readouterr().out
    best = Path("results/searches/tiny/configs/algs/tiny_best.yaml")
    assert str(best) in said and "base: vdn\n" in best.read_text()
    page = Path("results/searches/tiny/report/index.html")
    settings = [line.split(": ")[1] for line in best.read_text().splitlines()[3:]]
    assert str(page) in said and len(settings) == 3 and all(f"<td>{text}</td>" in page.read_text() for text in settings)
    monkeypatch.setenv("MMSA_CONFIGS", str(best.parents[1]))
    config = read(play("tiny_best", results="again", t_max="8"), "config.json")
    assert f"lr: {config['lr']}\n" in best.read_text() and config["name"] == "tiny_best"
    file.write_text(FILE.replace("t_max: 36", "t_max: 72"))
    assert study.main(["search", str(file)]) == 2 and "begun with another file" in capsys.readouterr().err


def reaches_its_lr(runs):
    """Write what runs leave whose return is their step size, times their seed."""
    for run in runs:
        folder = run.results / "sacred" / run.task / run.algorithm / "1"
        folder.mkdir(parents=True, exist_ok=True)
        end = 2 * run.settings["lr"] * run.seed
        write(folder, "config.json", {"t_max": run.t_max})
        write(folder, "run.json", {"status": "COMPLETED"})
        write(folder, "metrics.json", {"test_return_mean": series([0, run.t_max], [0, end], [0, 60])})
    return {}


def test_its_own_packages_are_enough():
    """The extra [search] does not bring SciPy, which reports need."""
    code = "import sys; sys.modules['scipy'] = None; import study_runs.search_report"
    subprocess.run([sys.executable, "-c", code], cwd=main.CONFIG_DIR.parent, check=True)


def test_a_search_is_kept_in_the_storage_that_is_named_and_goes_on_there(file):
    shared = file.parent.resolve() / "shared"
    shared.mkdir()
    words = ["search", str(file), "--storage", f"sqlite:///{shared / 'all.db'}", "--trials"]
    assert study.main([*words, "1"]) == 0 and study.main([*words, "1"]) == 0
    assert len(list(Path("results/searches/tiny/trials").iterdir())) == 1
    assert [path.name for path in shared.iterdir()] == ["all.db"] and not list(Path("results").rglob("*.db"))


@pytest.mark.parametrize(("url", "says"), [
    ("nonsense", "Could not parse"), ("sqlite:////nowhere/a.db", "unable to open"),
    ("sqlite:///tiny.yaml", "not a database"),
    ("mysql://a:secret@b/c", "Failed to import DB access module"),
])  # fmt: skip
def test_a_storage_that_cannot_be_had_is_told_in_one_line(url, says, file, capsys):
    assert study.main(["search", str(file), "--storage", url]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and says in said and "secret" not in said


def test_a_trial_that_is_not_among_the_best_is_stopped_at_a_rung(file):
    from study_runs import search as engine

    search = read_search(file, main.CONFIG_DIR)
    trials = engine.opened(search, Path("r"), None)
    ends = []
    for lr in (0.05, 0.01, 0.09):
        trials.enqueue_trial({"lr": lr})
        trial = trials.ask()
        try:
            ends.append(engine.run_trial(search, trial, Path("r"), reaches_its_lr))
        except optuna.TrialPruned as why:
            ends.append(str(why))
    assert ends == [pytest.approx(0.05), "0.010 after 4 steps", pytest.approx(0.09)]


def test_a_trial_ends_where_a_seed_diverges(file):
    from study_runs import search as engine

    def diverges(runs):
        reaches_its_lr(runs)
        folder = runs[0].results / "sacred" / runs[0].task / runs[0].algorithm / "1"
        write(folder, "run.json", {"status": "FAILED"})
        write(folder, "info.json", {"diverged": {"t_env": 1200}})
        return {}

    search = read_search(file, main.CONFIG_DIR)
    trials = engine.opened(search, Path("r"), None)
    with pytest.raises(optuna.TrialPruned, match="seed 1 diverged at 1,200 steps"):
        engine.run_trial(search, trials.ask(), Path("r"), diverges)


def test_what_is_drawn_hangs_on_the_trials_before_and_not_on_stops_or_on_who_asks(file):
    from study_runs import search as engine

    search = read_search(file, main.CONFIG_DIR)
    whole = engine.opened(search, Path("a"), "sqlite:///:memory:")
    stopped, other = (engine.opened(search, Path("b"), None) for _ in range(2))
    drawn = [engine.propose(engine.ask(whole, search), search.axes) for _ in range(3)]
    assert len({trial["lr"] for trial in drawn}) == 3
    engine.give_back(stopped, 0, engine.propose(engine.ask(stopped, search), search.axes))
    again = engine.propose(engine.ask(stopped, search), search.axes)
    between, asks = [], stopped.ask
    stopped.ask = lambda: (between.append(engine.ask(other, search)), asks())[1]
    last = engine.propose(engine.ask(stopped, search), search.axes)
    assert [again, engine.propose(between[0], search.axes), last] == drawn, "two asked at the same moment"


def test_what_stands_first_is_tried_first_and_once(file):
    from study_runs import search as engine

    file.write_text(FILE + "first: [{lr: 0.05, double_q: false, rnn_hidden_dim: 8}, {lr: 0.1}]\n")
    search = read_search(file, main.CONFIG_DIR)
    for _ in range(2):  # the second time it goes on
        trials = engine.opened(search, Path("r"), None)
    drawn = [engine.propose(engine.ask(trials, search), search.axes) for _ in range(3)]
    assert drawn[0] == {"lr": 0.05, "double_q": False, "rnn_hidden_dim": 8}
    assert drawn[1]["lr"] == 0.1 and drawn[2]["lr"] not in (0.05, 0.1)


@pytest.mark.parametrize(("aim", "reached"), [
    ("aim: end, last: 2", 0.7),                           # the last two: 0.6 and 0.8
    ("aim: area", 13 / 30),                               # 0.3 over 12 steps of 18, and 0.7 over 6
    ("aim: area_per_minute, minutes: 2", 0.3),            # half of t_max, so half of the minutes: 0 to 0.6
    ("aim: area_per_minute, minutes: 8", 0.65),           # 0.3, 0.7 and, held, 0.8, 0.8 over four minutes
])  # fmt: skip
def test_a_search_aims_at_the_end_or_at_the_area_over_steps_or_minutes(aim, reached, file):
    from study_runs.search import aimed_at

    file.write_text(FILE + "".join(f"{part}\n" for part in aim.split(", ")))
    asked = read_search(file, main.CONFIG_DIR).file
    curve = Evaluations(np.array([0, 12, 18, 36]), np.array([0, 0.6, 0.8, 0.1]), np.array([0, 1, 2, 9]) / 60, None)
    assert aimed_at(curve, asked, t_max=18) == pytest.approx(reached)
    with pytest.raises(UserError, match="does not tell when"):
        aimed_at(curve._replace(hours=None), replace(asked, aim="area_per_minute", minutes=1), t_max=18)


def test_a_seed_that_left_no_run_is_told_in_one_line(file):
    from study_runs.search import value_of

    with pytest.raises(UserError, match=r"^nowhere: seed 1 has left no run$"):
        value_of(read_search(file, main.CONFIG_DIR), Path("nowhere"), 4)


@pytest.mark.parametrize(("old", "new", "says"), [
    ("[1]", "[1, 103]", "103 is a reporting seed, and 101-105 choose nothing"),
    ("[1]", "[1, 1]", "one stands here twice"),
    ("high: 0.1,", "high: 2,", "lr=2: must be a float in (0, 1]"),
    ("low: 4", "low: 4.5", "rnn_hidden_dim=4.5: must be an int"),
    ("low: 4", "low: 9", "low and high are two numbers"),
    ("low: 0.0001", "low: 0", "lr=0: must be a float"),
    ("double_q: [true, false]", "double_q: {low: 0, high: 1}", "double_q is no number"),
    ("double_q: [true, false]", "double_q: [true]", "at least two choices"),
    ("lr:", "lrr:", "unknown setting 'lrr'; did you mean lr"),
    ("t_max: 36", "t_max: 3", "too short for 3 rungs"),
    ("settings: {", "settings: {lr: 0.1, ", "lr stands under settings and in the space"),
    ("settings: {", "settings: {seed: 1, ", "`seeds` lists them"),
    ("settings: {", "settings: {threads: 2, ", "`running` has cpus_per_run"),
    ("seeds:", "running: {jbos: 2}\nseeds:", "running: unknown setting 'jbos': did you mean jobs"),
    ("space:", "space:\n  env_args.key: [climbing, penalty]", "env_args.key says what the task is"),
    ("seeds:", "seed:", "unknown 'seed'"),
    ("seeds:", "minutes: 2\nseeds:", "minutes belong to aim: area_per_minute"),
    ("seeds:", "aim: area_per_minute\nseeds:", "minutes belong to aim: area_per_minute"),
    ("seeds:", "first: [{lr: 0.2}]\nseeds:", "first: lr=0.2 is outside the space"),
    ("seeds:", "first: [{lr: x}]\nseeds:", "lr=x: must be a float"),
    ("seeds:", "first: [{double_q: maybe}]\nseeds:", "double_q=maybe: must be"),
    ("seeds:", "first: []\nseeds:", "length >= 1"),
    ("seeds:", "first: [{lr: 0.1}, {lr: 0.01}, {lr: 0.10}]\nseeds:", "first: settings stand here twice"),
    ("seeds:", "first: [{gamma: 0.9}]\nseeds:", "first: 'gamma' is not in the space"),
    ("seeds:", "aim: best\nseeds:", "Invalid enum value 'best'"),
])  # fmt: skip
def test_a_mistake_in_a_file_is_told_in_one_line(old, new, says, file):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as told:
        read_search(file, main.CONFIG_DIR)
    assert says in str(told.value) and str(told.value).startswith("tiny.yaml: ") and "\n" not in str(told.value)


def test_the_searches_that_are_shipped_are_ones():
    folder = Path(main.__file__).parents[1] / "studies" / "searches"
    rungs = {path.name: read_search(path, main.CONFIG_DIR).rungs for path in sorted(folder.glob("*.yaml"))}
    assert rungs["matrix.yaml"] == (500, 1500, 4500) and rungs["coop_mmsa.yaml"] == (50000, 150000)


def test_what_is_compared_was_tuned_alike():
    folder = Path(main.__file__).parents[1] / "studies" / "searches"
    asked = [read_search(path, main.CONFIG_DIR) for path in sorted(folder.glob("coop_*.yaml"))]
    alike = {(tuple(one.file.seeds), one.file.aim, one.file.minutes, one.rungs) for one in asked}
    assert len(asked) == 4 and len(alike) == 1
    spaces = {one.file.config: one.file.space for one in asked}
    updates = [[int(some) for some in spaces[one].pop("updates_per_run")] for one in ("qmix", "mmsa_plus")]
    assert spaces["qmix"] == spaces["mmsa_plus"] and updates[0] == [2 * some for some in updates[1]]
