"""Algorithms find the best joint actions of games whose solutions are known.

One seed each; with these settings seeds 1 to 5 all passed when the test was written.
"""

import pytest

import main
from envs.matrix_game import GAMES
from settings import resolve
from training.assembly import build
from training.loop import train
from utils.logging import Console
from utils.stopping import StopRequest

SETTINGS = {  # full exploration; one greedy evaluation before training and one after it
    "seed": "1", "device": "cpu", "epsilon_start": "1", "epsilon_finish": "1", "gamma": "0.99", "td_lambda": "0",
    "batch_size": "32", "buffer_size": "500", "save_model": "false", "test_nepisode": "1",
    "test_interval": "100000", "log_interval": "100000", "learner_log_interval": "100000",
}  # fmt: skip
ONE_STEP = {"t_max": "600", "lr": "0.003", "updates_per_run": "4"}
TWO_STEP = {"t_max": "1600", "lr": "0.005", "updates_per_run": "4", "target_update_interval": "40"}


def greedy_return(alg, game, settings, folder):
    """Train and return what the greedy joint policy earns in the end."""
    updates = SETTINGS | settings | {"env_args.key": game}
    run = build(resolve(alg, "matrix_game", updates, main.CONFIG_DIR))
    try:
        train(run, folder, Console(0, run.args.t_max, alg), lambda *_: None, StopRequest())
        return run.logger.latest["test_return_mean"]
    finally:
        run.close()


@pytest.mark.parametrize("alg", ["iql", "vdn", "qmix", "mmsa"])
def test_every_algorithm_solves_the_one_step_game(alg, tmp_path):
    best = max(max(row) for row in GAMES["one_step"].payoffs[0])
    assert greedy_return(alg, "one_step", ONE_STEP, tmp_path) == best == 8


@pytest.mark.parametrize("alg, earned", [("vdn", 7), ("qmix", 8), ("mmsa", 8)])
def test_only_a_mixer_that_sees_the_state_takes_the_risky_branch(alg, earned, tmp_path):
    """QMIX (Rashid et al., 2018), two-step game: a sum of values cannot represent the branch worth 8."""
    assert greedy_return(alg, "two_step", TWO_STEP, tmp_path) == earned
