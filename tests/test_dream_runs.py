"""Whole runs of world-model methods: every suite and action space, checkpoints looked at again, mistakes told."""

import numpy as np
import pytest
from packages import needs
from tiny_runs import DREAMS, LBF, csv_rows, play, read

import main

SHORT = DREAMS | {"t_max": "120", "test_interval": "1000", "save_model_interval": "1000"}


@pytest.mark.parametrize("method", ["dreamer", "mamba", "mabl", "dmawm"])
@pytest.mark.parametrize("runner", ["vector", "episode"])
def test_a_run_learns_logs_and_repeats_its_evaluation(method, runner, tmp_path):
    more = {"batch_size_run": "1"} if runner == "episode" else {}
    folder = play(method, "lbf", tmp_path, runner=runner, **SHORT | more)
    metrics = read(folder, "metrics.json")
    for name in ("loss_obs", "loss_reward", "kl", "dream_return", "real_return", "policy_entropy", "dream_after_end"):
        assert metrics[name]["values"] and np.isfinite(metrics[name]["values"]).all(), name
    assert read(folder, "run.json")["status"] == "COMPLETED"
    again = play(
        method, "lbf", tmp_path / "again", checkpoint_path=str(folder), evaluate="True", runner=runner, **SHORT | more
    )
    last = csv_rows(folder)[-3:]
    assert [row["return"] for row in csv_rows(again)] == [row["return"] for row in last]


def test_runners_play_the_same_episodes(tmp_path):
    """What an agent draws is its episode's own, whoever plays beside it."""
    returns = [
        read(play("dmawm", "lbf", tmp_path / runner, runner=runner, **SHORT | {"learn_after": "1000"}), "metrics.json")
        for runner in ("vector", "parallel")
    ]
    assert returns[0]["return_mean"]["values"] == returns[1]["return_mean"]["values"]


@pytest.mark.slow  # JAX compiles
@pytest.mark.parametrize("method", ["mamba", "dmawm", "dmawm_as"])
@needs("smax")
def test_battles_with_agents_that_die(method, tmp_path):
    more = {"env_args.map_name": "3m", "env_args.max_steps": "12", "env_args.enemy_shoots": "True"}
    folder = play(method, "smax", tmp_path, **SHORT | more)
    assert np.isfinite(read(folder, "metrics.json")["loss_kl"]["values"]).all()


@pytest.mark.parametrize("method", ["mabl", "dmawm"])
@needs("mamujoco")
def test_numbers_as_actions(method, tmp_path):
    more = {"env_args.scenario": "Hopper", "env_args.agent_conf": "3x1", "env_args.episode_limit": "12"}
    folder = play(method, "mamujoco", tmp_path, **SHORT | more | {"env_args.action_space": "continuous"})
    assert np.isfinite(read(folder, "metrics.json")["loss_policy"]["values"]).all()


def test_rewards_of_agents_own(tmp_path):
    folder = play("dmawm", "lbf", tmp_path, **SHORT | {"env_args.common_reward": "False"})
    assert np.isfinite(read(folder, "metrics.json")["loss_reward"]["values"]).all()


MISTAKES = {
    "a horizon of 0": (["horizon=0"], "horizon"),
    "latents of one class": (["latent_classes=1"], "latents of 1 class"),
    "heads that do not divide the width": (["attention_heads=5"], "5 attention heads do not divide the width 16"),
    "critic's heads": (["critic_heads=3"], "3 attention heads do not divide the width 16"),
    "an even number of bins": (["bins=20"], "odd number of bins"),
    "a replay smaller than an episode": (["env_args.episode_limit=300"], "cannot hold an episode"),
    "segments of one row": (["segment_length=1"], "segment_length"),
    "no such world": (["world=dreamr"], "dreamer"),
    "parameters of agents' own": (["share_parameters=False"], "share their parameters"),
    "random actions in evaluation": (["evaluation_epsilon=0.1"], "evaluation_epsilon is for values"),
}


@pytest.mark.parametrize("words, says", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_leaves_nothing(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = DREAMS | LBF | dict(word.split("=") for word in words)
    assert main.main(["--config=dmawm", "--env-config=lbf", "with", *(f"{k}={v}" for k, v in given.items())]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert not list(tmp_path.rglob("*"))


def test_segments_may_be_longer_than_every_episode(tmp_path):
    """Of episodes of ten steps: a segment goes on through their ends."""
    folder = play("dreamer", "lbf", tmp_path, **SHORT | {"segment_length": "30"})
    assert np.isfinite(read(folder, "metrics.json")["loss_obs"]["values"]).all()


def test_rewards_beyond_the_codes_range_are_counted(tmp_path):
    """They are learnt as its outermost number, and the share of them is logged."""
    metrics = read(play("dreamer", "matrix_game", tmp_path, **SHORT | {"bins_range": "0.7"}), "metrics.json")
    assert max(metrics["reward_clipped"]["values"]) > 0
