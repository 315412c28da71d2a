"""Whole runs through the command line: what they leave, learn and repeat."""

import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch as th
from processes import WAIT, running, wait_until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import LBF, MAIN, TINY, csv_rows, play, read, settings_of, words

import main
from envs.matrix_game import MatrixGameEnv
from envs.multiagentenv import EpisodeLostError
from settings import archived, resolve
from training.assembly import build
from training.checkpoint import find_checkpoint, load_checkpoint
from utils.commit import commit_of
from utils.pythons import complaint

ALGORITHMS = ["mmsa", "mmsa_paper", "mmsa_td7", "qmix", "vdn", "iql"]
TRAINING = {"return_mean", "return_std", "ep_length_mean", "epsilon", "episode", "episodes_lost", "steps_per_second"}
TESTING = {"test_return_mean", "test_return_std", "test_ep_length_mean"}
LEARNING = {"loss_td", "grad_norm", "q_taken_mean", "target_mean"}
MMSA = {"loss_kl", "loss_rec", "loss_sale", "kl_prior_normal", "kl_posterior_prior"}
MMSA |= {"rec_z_sa", "rec_z_s", "rec_phi", "rec_h"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def repeatable(folder):
    """The figures of a run that do not hang on the machine's speed."""
    figures = read(folder, "metrics.json").items()
    return {
        name: (figure["steps"], figure["values"])
        for name, figure in figures
        if name != "steps_per_second" and not name.startswith("time_")
    }


@pytest.mark.parametrize("batch_size, warned", [("20", False), ("21", True)])
def test_a_run_whose_first_batch_may_come_too_late_says_so_at_its_start(batch_size, warned, capsys):
    play("vdn", "lbf", batch_size=batch_size)  # episodes of up to 10 steps, 200 in all
    _, note, first, *_ = capsys.readouterr().out.splitlines()
    assert note.startswith("note: replay takes ")
    says = "warning: learning starts with 21 episodes (batch_size), which may take 210 steps of the 200 that "
    assert first.startswith(says) if warned else first.startswith("t_env 0:")


@pytest.mark.parametrize("env", ["matrix_game", "lbf"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_run_leaves_its_archive_and_learns(alg, env, capsys):
    folder = play(alg, env)
    task = "one_step" if env == "matrix_game" else LBF["env_args.key"]
    assert folder == Path("results/sacred", task, alg, "1")

    assert read(folder, "run.json")["status"] == "COMPLETED"
    assert read(folder, "info.json")["commit"] == commit_of(MAIN.parent)
    config = read(folder, "config.json")
    assert (config["name"], config["t_max"], config["seed"]) == (alg, 200, 1)
    resolved = resolve(alg, env, settings_of(env), main.CONFIG_DIR)
    assert config == archived(resolved | {"local_results_path": "results"})

    figures = read(folder, "metrics.json")
    expected = TRAINING | TESTING | LEARNING | (MMSA if "mmsa" in alg else set())
    assert expected <= figures.keys()
    assert ("loss_sale_agent" in figures) == (alg == "mmsa_td7")
    expected = [max(0.05, 1 - 0.95 * t / 150) for t in figures["epsilon"]["steps"]]
    assert figures["epsilon"]["values"] == pytest.approx(expected)
    assert all(math.isfinite(value) for figure in figures.values() for value in figure["values"])

    evaluated = figures["test_return_mean"]
    assert evaluated["steps"][0] == 0 and evaluated["steps"][-1] >= 200 and len(evaluated["steps"]) >= 4
    rows = csv_rows(folder)
    assert list(rows[0]) == ["t_env", "seed", "return", "length", "truncated", "won"]
    assert [int(row["t_env"]) for row in rows] == [t for t in evaluated["steps"] for _ in range(3)]
    returns = np.array([float(row["return"]) for row in rows]).reshape(-1, 3)
    assert evaluated["values"] == pytest.approx(returns.mean(axis=1).tolist())
    if env == "matrix_game":  # greedy play of a game without chance: every episode of an evaluation is the same
        assert (returns == returns[:, :1]).all()
    lengths = np.array([int(row["length"]) for row in rows]).reshape(-1, 3)
    assert figures["test_ep_length_mean"]["values"] == pytest.approx(lengths.mean(axis=1).tolist())

    said = (folder / "cout.txt").read_text()
    assert f"archive: {folder}" in said and "test return" in said
    assert said == capsys.readouterr().out

    tensors, numbers = load_checkpoint(find_checkpoint(str(folder)))
    assert numbers["t_env"] == evaluated["steps"][-1] and numbers["learner"]["updates"] >= 8
    fresh = build(config).learner
    for part, module in fresh.trained.items():
        before = {f"trained.{part}.{key}": value for key, value in module.state_dict().items()}
        assert not before or any(not th.equal(tensors[key], value) for key, value in before.items()), part
    assert all(value.isfinite().all() for value in tensors.values())


def test_the_recorded_commit_says_whether_the_code_was_changed():
    def git(*args):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *identity, *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert commit_of(Path.cwd()) == "unknown"
    git("init")
    assert commit_of(Path.cwd()) == "unknown"  # no commit yet
    Path("code.py").write_text("1")
    git("add", "code.py")
    git("commit", "-m", "one")
    assert commit_of(Path.cwd()) == git("rev-parse", "HEAD")
    Path("code.py").write_text("2")
    assert commit_of(Path.cwd()) == git("rev-parse", "HEAD") + "+changes"


def test_checkpoints_are_written_on_the_way_and_at_the_end():
    folder = play("vdn")
    steps = sorted(int(path.name[2:]) for path in (folder / "checkpoints").iterdir())
    assert len(steps) == 3 and 80 <= steps[0] < 100 and 160 <= steps[1] < 180 and steps[2] == 200


def test_without_save_model_nothing_is_saved():
    assert not (play("vdn", save_model="false") / "checkpoints").exists()


def test_the_same_seed_gives_the_same_figures_and_another_seed_others():
    first, again = (play("mmsa", "lbf", results=results) for results in ("a", "b"))
    assert repeatable(first) == repeatable(again)
    assert csv_rows(first) == csv_rows(again)
    assert repeatable(play("mmsa", "lbf", results="c", seed="2")) != repeatable(first)


def test_a_run_is_the_same_with_the_parallel_runner():
    vector, parallel = (play("qmix", "lbf", results=name, runner=name) for name in ("vector", "parallel"))
    assert repeatable(vector) == repeatable(parallel)
    assert csv_rows(vector) == csv_rows(parallel)
    assert not multiprocessing.active_children()


def test_the_episode_runner_trains_too():
    folder = play("qmix", "lbf", runner="episode", batch_size_run="1")
    assert read(folder, "metrics.json")["loss_td"]["values"]


def test_a_second_run_gets_a_folder_of_its_own():
    play("vdn")
    assert main.main(words("vdn", "matrix_game", TINY)) == 0
    assert read(Path("results/sacred/one_step/vdn/2"), "run.json")["status"] == "COMPLETED"


def test_without_a_seed_one_is_drawn_and_recorded():
    one, other = (read(play("vdn", results=r, seed="null"), "config.json")["seed"] for r in ("a", "b"))
    assert isinstance(one, int) and isinstance(other, int) and one != other


def test_tensorboard_gets_the_figures_of_the_archive():
    folder = play("vdn", use_tensorboard="True")
    events = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0})
    events.Reload()
    figures = read(folder, "metrics.json")
    assert set(events.Tags()["scalars"]) == set(figures)
    for name, figure in figures.items():
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == figure["steps"]
        assert [scalar.value for scalar in scalars] == pytest.approx(figure["values"], rel=1e-6)


def test_a_game_that_always_crashes_ends_the_run_with_one_line(monkeypatch, capsys):
    def crash(*_):
        raise EpisodeLostError("the game is gone")

    monkeypatch.setattr(MatrixGameEnv, "step", crash)
    assert main.main(words("vdn", "matrix_game", TINY | {"max_losses_in_a_row": "1"})) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: the episode of seed \d+ was lost 2 times in a row, .*the game is gone.*\n", err)
    assert read(Path("results/sacred/one_step/vdn/1"), "run.json")["status"] == "FAILED"


def test_ctrl_c_leaves_a_readable_archive_that_says_interrupted():
    settings = TINY | {"t_max": "10000000", "save_model_interval": "80"}
    folder = Path("results/sacred/one_step/qmix/1")
    with running(MAIN, *words("qmix", "matrix_game", settings)) as process:
        wait_until(lambda: list(folder.glob("checkpoints/t_*")) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "Traceback" not in err and "interrupted" in err
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    steps = read(folder, "metrics.json")["test_return_mean"]["steps"]
    assert len(steps) >= 2 and len(csv_rows(folder)) == 3 * len(steps)
    printed = (folder / "cout.txt").read_text()
    assert "archive: " in printed and "stopped by SIGINT" in printed
    assert {*out.splitlines()} <= {*printed.splitlines()}
    assert find_checkpoint(str(folder))


def test_evaluation_epsilon_takes_random_actions_and_a_checkpoint_repeats_them(tmp_path):
    run = play("vdn", "matrix_game", tmp_path / "run", evaluation_epsilon="1.0", test_nepisode="16")
    last = [row for row in csv_rows(run) if row["t_env"] == csv_rows(run)[-1]["t_env"]]
    assert len({row["return"] for row in last}) > 1  # one state, one greedy action, one payoff
    settings = {"checkpoint_path": str(run), "evaluate": "True", "test_nepisode": "16"}
    again = play("vdn", "matrix_game", tmp_path / "again", **settings, evaluation_epsilon="1.0")
    assert csv_rows(again) == last
    greedy = play("vdn", "matrix_game", tmp_path / "greedy", **settings)
    assert len({row["return"] for row in csv_rows(greedy)}) == 1


def test_policies_draw_in_evaluation_if_asked_and_a_checkpoint_repeats_it(tmp_path):
    slow = {"lr": "0.000001", "test_nepisode": "16"}  # so that the policy stays near its random start
    run = play("ippo", "matrix_game", tmp_path / "run", evaluation_draws="True", **slow)
    last = [row for row in csv_rows(run) if row["t_env"] == csv_rows(run)[-1]["t_env"]]
    assert len({row["return"] for row in last}) > 1
    settings = {"checkpoint_path": str(run), "evaluate": "True", "test_nepisode": "16"}
    assert csv_rows(play("ippo", "matrix_game", tmp_path / "again", **settings, evaluation_draws="True")) == last
    greedy = play("ippo", "matrix_game", tmp_path / "greedy", **settings)
    assert len({row["return"] for row in csv_rows(greedy)}) == 1


def test_a_run_is_evaluated_and_continued_by_its_folder_alone(tmp_path):
    """Its task and settings are in it: nobody has to give them again."""
    run = play("qmix", "lbf", tmp_path / "a", save_model_interval="80", test_interval="80")
    elsewhere = f"local_results_path={tmp_path / 'b'}"
    first = min((run / "checkpoints").iterdir(), key=lambda path: int(path.name[2:]))
    assert main.main([f"evaluate={first}", "with", elsewhere]) == 0
    assert main.main([f"continue={run}", "with", elsewhere, "t_max=260"]) == 0
    evaluated, went_on = (next((tmp_path / "b").glob(f"sacred/*/qmix/{number}")) for number in (1, 2))
    at = first.name[2:]
    assert csv_rows(evaluated) == [row for row in csv_rows(run) if row["t_env"] == at] != []
    steps = read(went_on, "metrics.json")["test_return_mean"]["steps"]
    assert steps[0] == csv_rows_end(run) and steps[-1] >= 260
    assert read(went_on, "config.json")["env_args"] == read(run, "config.json")["env_args"]


def csv_rows_end(run):
    return int(csv_rows(run)[-1]["t_env"])


TOOLS = ("main.py", "study.py", "plot.py", "record.py", "inspect_world_model.py")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_python_without_the_packages_is_told_in_one_line_which_it_is(tool):
    command = [sys.executable, "-S", str(MAIN.parent / tool), "--help"]  # -S: without installed packages
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith(f"error: this Python, {sys.executable}, is 3.") and done.stderr.count("\n") == 1


def test_a_python_is_told_which_has_the_packages():
    here = ("/usr/bin/python3", (3, 12), ["torch"])
    assert complaint("/usr/bin/python3", (3, 12), [], None, []) == ""
    told = complaint(*here, ".venv/bin/python", ["src/main.py", "-h"])
    assert "has all packages: .venv/bin/python src/main.py -h" in told
    assert "make demo" in complaint(*here, None, []) and "has no torch" in complaint(*here, None, [])
    assert "is 3.9; 3.11 or later is needed" in complaint("/usr/bin/python3", (3, 9), [], None, [])
