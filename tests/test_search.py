"""A search: what its file may say, trials that stop at a rung and go on exactly, and a best config that runs."""

from pathlib import Path

import pytest
from made_archives import write
from tiny_runs import play, read

import main
import study
from study_runs import search_command
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


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_command, "run_main", lambda words, log: main.main(words))
    path = Path("tiny.yaml")
    path.write_text(FILE)
    return path


def test_a_search_goes_on_where_it_was_stopped_and_its_best_runs(file, capsys, monkeypatch):
    seen = []

    def stops_at_third(words, log):
        seen.append(words)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return main.main(words)

    monkeypatch.setattr(search_command, "run_main", stops_at_third)
    assert study.main(["search", str(file), "--trials", "3"]) == 130
    assert [words[0].partition("=")[0] for words in seen] == ["--config", "resume", "resume"]
    assert seen[2][0] == seen[1][0] and seen[2][2] == "t_max=36"
    assert study.main(["search", str(file), "--trials", "3"]) == 0
    assert seen[3] == seen[2], "the rungs that were done are not done again"
    trials = list(Path("results/searches/tiny/trials").iterdir())
    assert len(trials) == 3, "each trial has settings of its own"
    said = capsys.readouterr().out
    best = Path("results/searches/tiny/configs/algs/tiny_best.yaml")
    assert str(best) in said and "base: vdn\n" in best.read_text()
    monkeypatch.setenv("MMSA_CONFIGS", str(best.parents[1]))
    config = read(play("tiny_best", results="again", t_max="8"), "config.json")
    assert f"lr: {config['lr']}\n" in best.read_text() and config["name"] == "tiny_best"
    file.write_text(FILE.replace("t_max: 36", "t_max: 72"))
    assert study.main(["search", str(file)]) == 2 and "begun with another file" in capsys.readouterr().err


def test_a_trial_that_is_not_among_the_best_is_stopped_at_a_rung(file):
    from study_runs import search as engine

    def reaches_its_lr(all_words):
        """Write what a run leaves whose return is its step size."""
        for first, *rest in all_words:
            given = dict(word.split("=", 1) for word in rest if "=" in word)
            folder = Path(first.removeprefix("resume="))
            if first.startswith("--config"):
                folder = Path(given["local_results_path"]) / "sacred" / "t" / "a" / "1"
                folder.mkdir(parents=True)
                (folder / "lr").write_text(given["lr"])
            t_max, value = int(given["t_max"]), float((folder / "lr").read_text())
            write(folder, "config.json", {"t_max": t_max})
            write(folder, "run.json", {"status": "COMPLETED"})
            write(folder, "metrics.json", {"test_return_mean": {"steps": [0, t_max], "values": [0, 2 * value]}})
        return [0] * len(all_words)

    search = read_search(file, main.CONFIG_DIR)
    trials = engine.opened(search, Path("r"), None, 1)
    ends = []
    for lr in (0.05, 0.01, 0.09):
        trials.enqueue_trial({"lr": lr})
        trial = trials.ask()
        try:
            ends.append(engine.run_trial(search, trial, Path("r"), reaches_its_lr))
        except optuna.TrialPruned as why:
            ends.append(str(why))
    assert ends == [pytest.approx(0.05), "0.010 after 4 steps", pytest.approx(0.09)]


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
    ("space:", "space:\n  env_args.key: [climbing, penalty]", "env_args.key says what the task is"),
    ("seeds:", "seed:", "unknown 'seed'"),
])  # fmt: skip
def test_a_mistake_in_a_file_is_told_in_one_line(old, new, says, file):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as told:
        read_search(file, main.CONFIG_DIR)
    assert says in str(told.value) and str(told.value).startswith("tiny.yaml: ") and "\n" not in str(told.value)


def test_the_search_that_is_shipped_is_one():
    path = Path(main.__file__).parents[1] / "studies" / "searches" / "matrix.yaml"
    assert read_search(path, main.CONFIG_DIR).rungs == (500, 1500, 4500)
