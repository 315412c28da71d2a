"""World-model methods on every suite and kind of action, and as published: short runs that train all of their parts."""

import acting_games
import numpy as np
import pytest
from packages import needs
from sc2_here import sc2_here
from tiny_runs import DREAMS, play, read

from envs import ENVS

SHORT = DREAMS | {"t_max": "120", "test_interval": "1000", "save_model_interval": "1000", "buffer_size": "400"}
METHODS = ["dreamer", "mamba", "mabl", "dmawm"]
ONE_GAME = {"batch_size_run": "1", "env_args.game_timeout": "1"}
SPREAD = {"env_args.key": "pz-mpe-simple-spread-v3", "env_args.time_limit": "12"}
POLE = {"env_args.key": "CartPole-v1", "env_args.time_limit": "12"}
HOPPER = {"env_args.scenario": "Hopper", "env_args.agent_conf": "3x1", "env_args.episode_limit": "12"}
SUITES = {
    "StarCraft II": ("sc2", ONE_GAME | {"env_args.map_name": "3m"}),
    "SMACv2": ("sc2v2", ONE_GAME | {"env_args.map_name": "zerg_5_vs_5"}),
    "PettingZoo": ("gymma", SPREAD),
    "Gymnasium": ("gymma", POLE),
    "numbers": ("mamujoco", HOPPER | {"env_args.action_space": "continuous"}),
    "levels of torque": ("mamujoco", HOPPER),
    "several choices": ("matrix_game", {"env_args.key": "climbing"}),
}
# Everything in turn with one method, and in a slow test with the others.
FIRST = dict(zip(SUITES, ["dmawm", "mamba", "mabl", "dreamer", "mabl", "dmawm", "mamba"], strict=True))


@pytest.fixture(autouse=True)
def tasks(monkeypatch, tmp_path):
    sc2_here(monkeypatch, tmp_path)
    monkeypatch.setitem(ENVS, "matrix_game", acting_games.PATH)


def cases(wanted):
    return [
        pytest.param(suite, method, marks=needs(SUITES[suite][0]), id=f"{suite}-{method}")
        for suite in SUITES
        for method in METHODS
        if wanted(suite, method)
    ]


def all_parts_learn(method, env, folder, settings):
    """Every part has taken steps: its gradient has a size; and what was learnt can be evaluated."""
    metrics = read(play(method, env, folder, **settings), "metrics.json")
    for part in ("model", "actor", "critic"):
        norms = metrics[f"grad_norm_{part}"]["values"]
        assert np.isfinite(norms).all() and max(norms) > 0, part
    assert np.isfinite(metrics["loss_kl"]["values"]).all() and np.isfinite(metrics["test_return_mean"]["values"]).all()


@pytest.mark.parametrize(("suite", "method"), cases(lambda suite, method: FIRST[suite] == method))
def test_all_parts_learn_on_every_suite(suite, method, tmp_path):
    env, more = SUITES[suite]
    all_parts_learn(method, env, tmp_path / "run", SHORT | more)


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "method"), cases(lambda suite, method: FIRST[suite] != method))
def test_every_method_learns_on_every_suite(suite, method, tmp_path):
    env, more = SUITES[suite]
    all_parts_learn(method, env, tmp_path / "run", SHORT | more)


SMALL = {k: v for k, v in SHORT.items() if k not in ("learn_after", "behaviour_after", "bins")} | {
    "learn_after": "40", "decoder_layers": "1", "critic_hidden_layers": "1", "actor_layers": "1",
    "attention_layers": "1", "critic_layers": "1", "ppo_epochs": "2", "model_steps": "2",
}  # fmt: skip


@pytest.mark.parametrize("method", ["mamba_paper", "mabl_paper", "dmawm_paper"])
def test_published_forms_learn_at_a_size_for_tests(method, tmp_path):
    """Their losses, heads, rhythm and starts; widths and depths are cut."""
    more = {"batch_size_run": "1"} if method != "dmawm_paper" else {}
    all_parts_learn(method, "lbf", tmp_path / "run", SMALL | more)
