"""Flatland's trains: what they see, what they are late by, and that the package leaves the rest of us alone."""

import random

import numpy as np
import pytest
from packages import needs

from envs import make_env, versions

pytestmark = needs("flatland")
TASK = {
    "trains": 3, "side": 24, "cities": 2, "depth": 1, "map_seed": None, "time_limit": 60, "common_reward": False,
}  # fmt: skip
GO_ON, FORWARD, STOP = 0, 2, 4


def network(env, seed):
    env.reset(seed)
    return env._game.rail.grid.tobytes()


def test_a_network_is_the_episodes_or_that_of_its_seed():
    env = make_env("flatland", TASK)
    assert len({network(env, seed) for seed in range(3)}) == 3
    env, same, other = (make_env("flatland", TASK | {"map_seed": seed}) for seed in (4, 4, 5))
    assert {network(env, seed) for seed in range(3)} == {network(same, 7)} != {network(other, 7)}


def test_who_never_leaves_pays_at_the_end_alone_and_the_time_limit_is_the_end():
    for time_limit in (60, 5):
        env = make_env("flatland", TASK | {"time_limit": time_limit})
        env.reset(0)
        rewards, over = [], False
        while not over:
            reward, over, truncated, info = env.step(np.full(3, STOP))
            rewards.append(reward)
        assert len(rewards) <= time_limit and not truncated and info == {"arrived": 0.0}
        assert not np.any(rewards[:-1]) and (rewards[-1] < 0).all()
    assert len(rewards) == 5
    team = make_env("flatland", TASK | {"common_reward": True, "time_limit": 5})
    team.reset(0)
    assert [team.step(np.full(3, STOP))[0] for _ in range(5)][-1] == pytest.approx(sum(rewards[-1]))


def test_a_train_sees_its_state_its_times_and_the_tracks_ahead():
    env = make_env("flatland", TASK)
    env.reset(1)
    before = env.get_obs().copy()
    assert before.shape == (3, 10 + 12 * 5) and (before[:, :7].sum(axis=1) == 1).all()
    limit, leave, arrive = before[:, 7:10].T * 60
    for i, train in enumerate(env._game.agents):
        assert (leave[i], arrive[i]) == pytest.approx((train.earliest_departure, train.latest_arrival), abs=1e-3)
    assert (leave < arrive).all() and (arrive <= limit + 1).all()
    for _ in range(int(max(leave)) + 2):
        env.step(np.full(3, FORWARD))
    now = env.get_obs()
    assert (now[:, 7] < before[:, 7]).all() and now[:, 3].any()  # some move
    root = now[:, 10:22]
    assert (root[:, 6] > 0).all()  # how far their stations are


def test_pythons_own_random_numbers_go_on_as_if_nothing_had_been():
    random.seed(3)
    expected = [random.random() for _ in range(4)]
    random.seed(3)
    found = [random.random()]
    env = make_env("flatland", TASK)
    found.append(random.random())
    env.reset(0)
    found.append(random.random())
    env.step(np.full(3, GO_ON))
    assert [*found, random.random()] == expected


def test_the_archive_says_which_version_the_rules_are_of():
    assert set(versions("flatland", TASK)) == {"flatland-rl"}
