"""Whole runs of policies: exact resume, evaluation, films, and what is refused in one line."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import acting_games
import numpy as np
import pytest
from test_resume import same_run, stop_after
from tiny_runs import MAIN, csv_rows, play, read, words

import main
import record
from envs import ENVS
from envs.action_spaces import Continuous, Discrete, MultiDiscrete
from learners import METHODS, MIXED, REGISTRY
from recording.q_strip import chosen_rows, scale_of
from settings import ALGS, config_names, resolve
from training.assembly import one_of

SAVES = {"save_model_interval": "60"}
POLICIES = ("mappo", "ippo", "maa2c", "ia2c", "coma")


@pytest.mark.parametrize(("alg", "settings"), [
    ("mappo", {"batch_size": "12", "minibatches": "2", "chunk_length": "3"}),  # episodes wait at checkpoints
    ("ippo", {"batch_size": "4", "standardise_rewards": "True", "lr_decay": "True"}),
    ("coma", {"batch_size": "12"}),
])  # fmt: skip
def test_a_run_that_died_goes_on_as_if_it_had_not(alg, settings, tmp_path):
    whole = play(alg, "lbf", tmp_path / "whole", t_max="300", **SAVES, **settings)
    waiting = [read(path, "numbers.json")["resume"]["replay"] for path in sorted((whole / "checkpoints").iterdir())]
    assert alg == "ippo" or any(replay["oldest"] < replay["inserted"] for replay in waiting)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 2)  # the last but one: what those before need of the waiting episodes is on disk no more
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)


def test_a_run_that_is_killed_goes_on_as_if_it_had_not(tmp_path):
    settings = {"t_max": "400", "batch_size": "12", "seed": "1", "batch_size_run": "4", "device": "cpu",
                "save_model_interval": "50", "test_interval": "200", "test_nepisode": "2", "log_interval": "50",
                "learner_log_interval": "50", "env_args.key": "Foraging-5x5-2p-1f-v3",
                "env_args.episode_limit": "10"}  # fmt: skip
    (tmp_path / "killed").mkdir()
    into_killed = settings | {"local_results_path": str(tmp_path / "killed")}
    argv = [sys.executable, str(MAIN), *words("mappo", "lbf", into_killed)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 120
    while not (found := list((tmp_path / "killed").glob("sacred/*/*/1/checkpoints/t_*"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = found[0].parents[1]
    assert main.main([f"resume={killed}"]) == 0
    assert main.main(words("mappo", "lbf", settings | {"local_results_path": str(tmp_path / "whole")})) == 0
    (whole,) = (tmp_path / "whole").glob("sacred/*/*/1")
    same_run(whole, killed)


@pytest.mark.parametrize("alg", ["mappo", "coma"])
def test_evaluation_repeats_and_films_show_probabilities(alg, tmp_path, capsys):
    trained = play(alg, "lbf", tmp_path / "trained", **{"env_args.valid_actions_only": "true"})
    rows = [row for row in csv_rows(trained) if row["t_env"] == max((r["t_env"] for r in csv_rows(trained)), key=int)]
    again = play(alg, "lbf", tmp_path / "again", evaluate="True", checkpoint_path=str(trained),
                 **{"env_args.valid_actions_only": "true"})  # fmt: skip
    assert [r["return"] for r in csv_rows(again)] == [r["return"] for r in rows]
    assert record.main([str(trained), "--episodes", "1", "--out", str(tmp_path / "film")]) == 0
    assert {path.suffix for path in (tmp_path / "film").iterdir()} == {".gif", ".mp4"}
    run = record.reopen(str(trained), main.CONFIG_DIR, record.ONE_HERE)
    (episode,) = record.play(run, 1)
    run.close()
    assert run.mac.shows == "p" and scale_of(episode.choices, "p").high == 1
    for choice in episode.choices:
        np.testing.assert_allclose(choice.q.sum(axis=-1), 1, rtol=1e-5)
        assert not choice.q[~choice.available].any()
        assert (choice.q.argmax(axis=-1) == choice.actions).all()
    capsys.readouterr()


def test_the_strip_marks_what_was_chosen_in_every_space():
    bounds = np.zeros((2, 2), dtype=np.float32)
    assert chosen_rows(np.array([3, 1]), Discrete()).tolist() == [3, 1]
    assert chosen_rows(np.array([[2, 1], [0, 0]]), MultiDiscrete((3, 2))).tolist() == [[2, 4], [0, 3]]
    assert chosen_rows(np.ones((2, 2)), Continuous(bounds, bounds)).shape == (2, 0)


@pytest.fixture
def acting(monkeypatch):
    monkeypatch.setitem(ENVS, "matrix_game", acting_games.PATH)


@pytest.mark.parametrize("key", ["two_step", "climbing"])
def test_numbers_and_several_choices_are_learnt_evaluated_and_resumed(key, acting, tmp_path):
    game = {"env_args.key": key, "batch_size": "4", "obs_last_action": "True"}
    whole = play("mappo", results=tmp_path / "whole", **game, **SAVES)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 1)
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)
    again = play("mappo", results=tmp_path / "again", evaluate="True", checkpoint_path=str(whole), **game)
    last = max((row["t_env"] for row in csv_rows(whole)), key=int)
    assert [r["return"] for r in csv_rows(again)] == [r["return"] for r in csv_rows(whole) if r["t_env"] == last]


@pytest.mark.parametrize("alg", ["qmix", "mmsa", "coma"])
def test_learners_that_cannot_learn_a_tasks_actions_name_those_that_can(alg, acting, capsys, tmp_path):
    settings = {"env_args.key": "two_step", "local_results_path": str(tmp_path), "seed": "1"}
    err = refused(words(alg, "matrix_game", settings), capsys)
    said, _, able = err.strip().partition("; take --config=")
    assert said == f"error: {alg} learns discrete actions, and this task's are continuous"
    named = able.replace(" or ", ", ").split(", ")
    assert {"ia2c", "ippo", "maa2c", "mappo"} <= set(named) and not {"qmix", "mmsa", "coma"} & set(named)
    assert not list(tmp_path.iterdir())


def refused(argv, capsys):
    assert main.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(("alg", "settings", "says"), [
    ("mappo", {"actor": "rn"}, "actor=rn: no such actor; did you mean rnn?"),
    ("mappo", {"mac": "basic_mac"}, "learner=policy_learner needs mac=policy_mac, not basic_mac"),
    ("coma", {"mac": "basic_mac"}, "learner=coma_learner needs mac=policy_mac, not basic_mac"),
    ("mappo", {"critic_reads": "everything"}, "critic_reads"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused_in_one_line(alg, settings, says, capsys, tmp_path):
    settings = {"local_results_path": str(tmp_path), "seed": "1"} | settings
    assert says in refused(words(alg, "matrix_game", settings), capsys)
    assert not list(tmp_path.iterdir())


def test_learners_that_cannot_learn_a_tasks_rewards_name_those_that_can(capsys, tmp_path):
    own = {"env_args.common_reward": "False", "env_args.key": "Foraging-5x5-2p-1f-v3", "seed": "1",
           "local_results_path": str(tmp_path)}  # fmt: skip
    for alg in ("qmix", "vdn", "mmsa", "coma"):
        err = refused(words(alg, "lbf", own), capsys)
        able, _, rest = err.partition("take --config=")[2].partition(", or ")
        named = able.replace(" or ", ", ").split(", ")
        assert {"ia2c", "ippo", "iql", "maa2c", "mappo"} <= set(named) and not {"qmix", "vdn", "coma"} & set(named)
        assert rest.strip() == "common_reward=True"


@pytest.mark.parametrize("alg", ["iql", "ippo", "mappo"])
def test_agents_learn_from_rewards_of_their_own(alg, tmp_path):
    folder = play(alg, "lbf", tmp_path, t_max="120", **{"env_args.common_reward": "False"})
    figures = read(folder, "metrics.json")
    assert any(name.startswith("loss") for name in figures)


def test_the_methods_that_are_named_are_those_whose_configs_have_the_learner():
    configs = config_names(main.CONFIG_DIR, ALGS)
    learners = {config: resolve(config, "matrix_game", {}, main.CONFIG_DIR)["learner"] for config in configs}
    for learner, methods in METHODS.items():
        assert learner in REGISTRY and all(learners[method] == learner for method in methods)
    assert METHODS.keys() == REGISTRY.keys()
    assert {m for m in itertools.chain(*METHODS.values()) if m in MIXED} == set(MIXED)
    assert [one_of(names) for names in (["b"], ["b", "a"], ["c", "a", "b"])] == ["b", "a or b", "a, b or c"]


@pytest.mark.parametrize("alg", POLICIES)
def test_archives_hold_the_figures_of_policies(alg, tmp_path):
    folder = play(alg, results=tmp_path, batch_size="4")
    figures = read(folder, "metrics.json")
    assert {"loss_policy", "loss_value", "entropy", "explained_variance", "grad_norm_actor", "grad_norm_critic",
            "return_target_mean", "advantage_std"} <= figures.keys()  # fmt: skip
    json.dumps(figures, allow_nan=False)
