"""SMAX through `jaxmarl` itself: its rules against its own state, and that a battle hangs on nothing but its seed.

Compiling a map takes some ten seconds; so few are played, and tests share them (`envs.smax_battles.game`).
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch as th
import yaml
from tiny_runs import MAIN, csv_rows, play, read
from torch.testing import assert_close

import envs
from envs import env_path, make_batch_from_path, make_env, task_name
from envs.smax import MAPS
from runners import REGISTRY as RUNNERS
from runners.base_runner import Limits
from training.seeding import Stream, episode_streams
from utils.errors import UserError
from utils.timing import PhaseClock

installed = pytest.mark.skipif(
    find_spec("jaxmarl") is None, reason="jaxmarl is not installed: pip install -r requirements-smax.txt"
)
SRC = Path(envs.__file__).parents[1]
CONFIG = yaml.safe_load((SRC / "config" / "envs" / "smax.yaml").read_text())["env_args"]
MARINES = CONFIG | {"map_name": "3m"}
HARMLESS = MARINES | {"enemy_shoots": False, "won_battle_bonus": 3.0, "max_steps": 30}
DRAWN = CONFIG | {"map_name": "smacv2_5_units"}  # here programs of other widths would round differently
EAST, STOP, ATTACK = 1, 4, 5


def battles(env_args, n):
    return make_batch_from_path(env_path("smax"), env_args, n)


def truth(batch, slot):
    """The package's own state of a battle: who is alive, health, types, steps."""
    state = batch.rules._remembered(batch._memories[slot]).state
    return {name: np.asarray(getattr(state, name)) for name in ("unit_alive", "unit_health", "unit_types", "step")}


def at_random(rng):
    return lambda available: (available * rng.random(available.shape)).argmax(axis=1)


def still(available):
    return np.full(len(available), STOP)


def advance_and_attack(available):
    attacks = available[:, ATTACK:]
    walk = np.where(available[:, EAST], EAST, STOP)
    return np.where(attacks.any(axis=1), ATTACK + attacks.argmax(axis=1), walk)


def battle(batch, slot, seed, policy):
    """Play one battle in a slot: every view, every outcome, and the package's state at each of them."""
    views, outcomes = batch.reset([slot], [seed]), []
    states = [truth(batch, slot)]
    while not outcomes or not (outcomes[-1].terminated or outcomes[-1].truncated):
        outcomes += batch.step([slot], policy(views[-1].avail_actions)[None])
        views.append(outcomes[-1].view)
        states.append(truth(batch, slot))
        assert len(outcomes) <= batch.info.episode_limit
    return views, outcomes, states


def fingerprint(views, outcomes):
    return [part.tobytes() for view in views for part in view], [outcome[:4] for outcome in outcomes]


@installed
@pytest.mark.parametrize(
    ("env_args", "policy", "end"),
    [
        (HARMLESS, advance_and_attack, "won"),
        (HARMLESS, still, "truncated"),
        (MARINES, still, "lost"),
        (MARINES, at_random(np.random.default_rng(0)), "lost"),
    ],
    ids=["won", "truncated", "lost", "random"],
)
def test_a_battle_ends_as_its_state_says(env_args, policy, end):
    batch = battles(env_args, 1)
    for seed in range(3):
        views, outcomes, states = battle(batch, 0, seed, policy)
        for view, outcome, state in zip(views[1:], outcomes, states[1:], strict=True):
            allies, enemies = state["unit_alive"][:3], state["unit_alive"][3:]
            numbers = {"dead_allies": (~allies).sum(), "dead_enemies": (~enemies).sum()}
            assert outcome.info == numbers | {"battle_won": not enemies.any()}
            assert outcome.terminated == (not allies.any() or not enemies.any())
            assert outcome.truncated == (state["step"] == env_args["max_steps"] and not outcome.terminated)
            alone = view.avail_actions[:, batch.info.noop] & (view.avail_actions.sum(axis=1) == 1)
            assert np.array_equal(alone, ~allies) and not view.obs[~allies].any() and view.obs[allies].any(axis=1).all()
        last = outcomes[-1]
        assert (last.info["battle_won"], last.truncated) == (float(end == "won"), end == "truncated")
        assert len(outcomes) == env_args["max_steps"] or not last.truncated


@installed
def test_rewards_are_the_enemies_lost_health_once_and_the_bonus_for_the_last_one():
    batch = battles(HARMLESS, 1)
    _, outcomes, states = battle(batch, 0, 5, advance_and_attack)
    full = states[0]["unit_health"][3:]
    for outcome, before, after in zip(outcomes, states, states[1:], strict=False):
        lost = np.maximum(before["unit_health"][3:], 0) - np.maximum(after["unit_health"][3:], 0)
        bonus = HARMLESS["won_battle_bonus"] * outcome.info["battle_won"]
        assert outcome.reward == pytest.approx((lost / full).mean() + bonus, abs=1e-5)
    assert sum(outcome.reward for outcome in outcomes) == pytest.approx(1 + HARMLESS["won_battle_bonus"], abs=1e-4)


@installed
def test_a_battle_is_the_same_in_any_slot_of_any_batch_whatever_its_neighbours():
    def played(n, slot, seed):
        """The battle in one slot, while others begin, end and begin again around it."""
        batch, rng, others = battles(DRAWN, n), np.random.default_rng(seed), np.random.default_rng(n)
        views = batch.reset(range(n), [1000 + n + other if other != slot else seed for other in range(n)])
        mine, active, outcomes = [views[slot]], dict(enumerate(views)), []
        while slot in active:
            slots = list(active)
            actions = [at_random(rng if s == slot else others)(active[s].avail_actions) for s in slots]
            answers = dict(zip(slots, batch.step(slots, np.array(actions)), strict=True))
            mine.append(answers[slot].view)
            outcomes.append(answers[slot])
            assert len(outcomes) <= batch.info.episode_limit
            active = {s: a.view for s, a in answers.items() if not (a.terminated or a.truncated)}
        return fingerprint(mine, outcomes)

    alone = [played(1, 0, seed) for seed in range(7, 13)]
    assert [played(8, 3, seed) for seed in range(7, 13)] == alone
    assert [played(21, 18, seed) for seed in range(7, 13)] == alone
    assert [played(70, 67, seed) for seed in range(7, 9)] == alone[:2], "more than one call has room for"
    assert all(one != other for one, other in combinations(alone, 2))
    rules = battles(DRAWN, 1).rules
    assert rules.begin._cache_size() == rules.go_on._cache_size() == 1, "one program serves every batch"


class Random:
    """A controller that explores by the episode's own draws alone."""

    def init_hidden(self, n):
        return th.zeros(n, 1)

    def draws(self, generators, steps, epsilon):
        return np.stack([generator.random((steps, 2, 3)) for generator in generators])

    def select_actions(self, batch, t, hidden, epsilon, draws, bs):
        available = batch.array("avail_actions")[bs, t]
        return (available * (draws[:, 0, :, None] * np.arange(1, available.shape[-1] + 1) % 1)).argmax(-1), hidden


def episodes(kind, size, count):
    runner = RUNNERS[kind](env_path("smax"), MARINES, size, PhaseClock(), Limits(0, 60, 0))
    streams = [episode_streams(3, Stream.TRAIN_EPISODE, number) for number in range(count)]
    parts = [runner.run(Random(), streams[first : first + size], 1.0) for first in range(0, count, size)]
    runner.close()
    return th.cat([batch.storage for batch, _ in parts]), [result for _, results in parts for result in results]


@installed
@pytest.mark.parametrize("kind", ["episode", pytest.param("parallel", marks=pytest.mark.slow)])
def test_every_runner_plays_the_same_battles(kind):
    storage, results = episodes("vector", 9, 9)
    again, same_results = episodes(kind, 1 if kind == "episode" else 3, 9)
    assert th.equal(storage, again) and results == same_results
    assert len({result.length for result in results}) > 1


@installed
@pytest.mark.parametrize(("map_name", "n"), [("smacv2_5_units", 5), ("smacv2_10_units", 10)])
def test_teams_of_smacv2_maps_vary_with_the_seed(map_name, n):
    batch = battles(CONFIG | {"map_name": map_name}, 8)
    batch.reset(range(8), [1, 2, 3, 4, 5, 6, 7, 1])
    teams = [tuple(truth(batch, slot)["unit_types"]) for slot in range(8)]
    assert len(set(teams)) >= 6 and teams[0] == teams[7] and {len(team) for team in teams} == {2 * n}


@installed
@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_a_run_learns_and_says_which_battles_were_won(alg, tmp_path):
    settings = {"env_args.map_name": "3m", "t_max": "400", "test_interval": "300"}
    folder = play(alg, "smax", tmp_path, **settings)
    assert folder.parts[-3:] == ("smax-3m", alg, "1")
    figures = read(folder, "metrics.json")
    assert {"battle_won_mean", "test_battle_won_mean", "loss_td", "test_dead_enemies_mean"} <= figures.keys()
    assert all(np.isfinite(figure["values"]).all() for figure in figures.values())
    # Positions on the map make the mixer steep: as drawn, values would begin at 2 to 6, where 2 is all there is to get.
    assert figures["drawn_slope"]["values"][0] > 0.5 and abs(figures["q_taken_mean"]["values"][0]) < 0.5
    rows = csv_rows(folder)
    won = [int(row["won"]) for row in rows[-3:]]
    assert figures["test_battle_won_mean"]["values"][-1] == pytest.approx(np.mean(won))
    assert all(0 <= float(row["return"]) <= 2 + 1e-4 for row in rows)


@installed
def test_the_maps_are_those_of_the_package():
    from envs.smax_battles import _suite

    assert set(MAPS) == set(_suite().smax_env.MAP_NAME_TO_SCENARIO)


@installed
def test_actions_are_called_by_what_they_do():
    from envs.smax_battles import game

    env = make_env("smax", HARMLESS)
    assert env.action_names() == ["north", "east", "south", "west", "stop", "attack 0", "attack 1", "attack 2"]
    batch = battles(HARMLESS, 1)
    position = lambda: np.asarray(game(**HARMLESS)._remembered(batch._memories[0]).state.unit_positions)[:3]  # noqa: E731
    for action, (right, up) in enumerate([(0, 1), (1, 0), (0, -1), (-1, 0), (0, 0)]):
        batch.reset([0], [1])
        before = position()
        batch.step([0], np.full((1, 3), action))
        moved = th.tensor(position() - before)
        assert_close(moved / 1.575, th.tensor([[right, up]]).expand(3, 2).float(), atol=0.02, rtol=0)


@installed
def test_seeds_beyond_32_bits_are_refused_rather_than_folded():
    with pytest.raises(OverflowError):
        make_env("smax", MARINES).reset(2**32)


JAX_HERE = """
import io, os, sys
from contextlib import redirect_stdout
caught = io.StringIO()
with redirect_stdout(caught):
    from envs.smax_battles import _suite, jax
    _suite()
    assert sys.stdout is caught
assert not caught.getvalue(), caught.getvalue()
print({device.platform for device in jax.devices()}, os.environ["XLA_FLAGS"])
from pathlib import Path
jax.jit(lambda x: x + 1)(jax.numpy.ones(3)).block_until_ready()
names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert names.count("tf_XLAEigen") == 1 and "NPROC" not in os.environ, names
"""


@installed
@pytest.mark.parametrize("flags", [None, "--xla_cpu_enable_fast_math=false"])
def test_jax_keeps_to_one_thread_of_the_cpu_quietly_and_what_the_user_set_stands(flags):
    setting = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    setting |= {"XLA_FLAGS": flags} if flags else {}
    done = subprocess.run([sys.executable, "-c", JAX_HERE], cwd=SRC, env=setting, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{{'cpu'}} {flags or '--xla_cpu_multi_thread_eigen=false'}\n"


def test_an_unknown_map_is_one_line_with_the_nearest_names_and_brings_no_jax():
    code = f"import sys; sys.argv[0] = {str(MAIN)!r}; import main; code = main.main(sys.argv[1:]);"
    code += "assert not {'jax', 'jaxmarl'} & sys.modules.keys(); sys.exit(code)"
    words = ["--config=vdn", "--env-config=smax", "with", "env_args.map_name=3s5zz"]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *words], cwd=SRC, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: unknown SMAX map '3s5zz': did you mean 3s5z") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("ask", [make_env, task_name])
def test_a_missing_package_is_one_line_with_its_own_requirements(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(UserError, match=r"Python package jaxmarl,.*`pip install -r requirements-smax\.txt`$"):
        ask("smax", MARINES)
