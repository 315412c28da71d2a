"""LBF against the library itself: keys, rules, observations, valid actions, ends of episodes."""

import re

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbforaging.foraging import ForagingEnv
from lbforaging.foraging.environment import Action

from envs import task_name
from envs.lbf import LBFEnv
from envs.lbf_drawing import GRASS, LINE, _Drawing, draw, seen_agents, seen_food
from envs.lbf_task import FORM, parse_key
from utils.drawing import YELLOW, agent_colour
from utils.errors import UserError

LOAD = Action.LOAD.value


def make(key, valid_actions_only=False, common_reward=True, episode_limit=50):
    return LBFEnv(key, valid_actions_only, common_reward, episode_limit)


def hungry_actions(rng, env):
    """Random actions that load where the game allows it: food gets taken, and fast."""
    valid = env._game.available()
    moves = rng.integers(0, 6, len(valid))
    return np.where(valid[:, LOAD] & (rng.random(len(valid)) < 0.9), LOAD, moves)


@pytest.mark.parametrize(
    "key",
    [
        "Foraging-2s-8x8-2p-2f-coop-v3",
        "Foraging-2s-10x10-3p-3f-v3",
        "Foraging-6x6-4p-3f-v3",
        "Foraging-5x5-2p-3f-v3",
        "Foraging-5x5-9p-2f-coop-v3",
    ],
)
def test_v3_is_the_registered_task_step_by_step(key):
    env = make(key)
    taken = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        # A fresh library environment each time: its reset depends on where the last episode left the players.
        library = gymnasium.make(key, disable_env_checker=True)
        theirs, _ = library.reset(seed=seed)
        env.reset(seed)
        over = False
        while not over:
            np.testing.assert_array_equal(env.get_obs(), np.stack(theirs))
            actions = hungry_actions(rng, env)
            reward, terminated, truncated, _ = env.step(actions)
            theirs, rewards, done, _, _ = library.step(actions.tolist())
            over = terminated or truncated
            assert reward == sum(rewards)
            assert over == done
            taken += reward > 0
        np.testing.assert_array_equal(env.get_obs(), np.stack(theirs))
    assert taken > 3


@pytest.mark.parametrize(
    "key",
    [
        "Foraging-2s-8x8-2p-2f-coop-v2",
        "Foraging-2s-10x10-3p-3f-v2",
        "Foraging-7x7-4p-3f-v2",
        "2s-9x6-3p-3f-v3",
        "6x9-2p-4f-v2",
        "2s-3x4-1p-1f-v2",
    ],
)
def test_observations_and_valid_actions_equal_the_librarys_own(key):
    env = make(key, valid_actions_only=True)
    game = env._game
    # The library swaps width and height in the range it checks its observations against.
    game.observation_space = gymnasium.spaces.Tuple(
        [gymnasium.spaces.Box(-1, 127, (env.info.obs_size,))] * env.info.n_agents
    )
    rng = np.random.default_rng(0)
    over, seed, taken = True, 0, 0
    for _ in range(3000):
        if over:
            seed += 1
            env.reset(seed)
            collected = 0
        theirs = np.stack(ForagingEnv._make_gym_obs(game))
        np.testing.assert_array_equal(env.get_obs().astype(np.float32), theirs)
        np.testing.assert_array_equal(env.get_state(), theirs.reshape(-1))
        valid = [[game._is_valid_action(player, action) for action in Action] for player in game.players]
        np.testing.assert_array_equal(env.get_avail_actions(), valid)
        _, terminated, truncated, info = env.step(hungry_actions(rng, env))
        over = terminated or truncated
        taken += info["food_collected"] > collected
        collected = info["food_collected"]
        remaining = np.argwhere(game.field)
        assert sorted(game.food_left) == [tuple(cell) for cell in remaining.tolist()]
        assert collected == 1 - len(remaining) / game.food_placed
    assert taken > 10


def test_all_actions_are_available_unless_only_valid_ones_are_asked_for():
    env = make("Foraging-2s-8x8-2p-2f-coop-v2")
    env.reset(0)
    assert env.get_avail_actions().all()
    env = make("Foraging-2s-8x8-2p-2f-coop-v2", valid_actions_only=True)
    env.reset(0)
    assert env.get_avail_actions()[:, Action.NONE.value].all() and not env.get_avail_actions().all()


def levels(key, resets):
    """(S, food levels) of each reset, read from the first agent's observation of the whole grid."""
    task, env = parse_key(key), make(key)
    assert not task.short_sight
    for seed in range(resets):
        env.reset(seed)
        seen = env.get_obs()[0, 2::3]
        foods, players = seen[: task.foods], seen[task.foods :]
        yield int(np.sort(players)[:3].sum()), foods[foods > 0].tolist()


@pytest.mark.parametrize("version, below_s", [(2, 1), (3, 0)])
def test_food_levels_without_coop_are_even_over_the_versions_range(version, below_s):
    counts = {s: np.zeros(8, dtype=int) for s in (3, 4, 5, 6)}
    for s, foods in levels(f"Foraging-10x10-4p-3f-v{version}", 20_000):
        for level in foods:
            counts[s][level] += 1
    for s, count in counts.items():
        top = s - below_s
        expected = count.sum() / top
        assert count.sum() > 3000 and count[0] == 0 and count[top + 1 :].sum() == 0
        assert np.abs(count[1 : top + 1] - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("players", [1, 2, 4])
def test_with_coop_every_food_needs_the_three_weakest(version, players):
    for s, foods in levels(f"Foraging-8x8-{players}p-2f-coop-v{version}", 300):
        assert foods == [s, s]


@pytest.mark.parametrize("version, highest", [(2, {1: 1, 2: 1, 3: 2, 4: 3}), (3, {1: 1, 2: 2, 3: 3, 4: 4})])
def test_few_players_keep_food_levels_within_reach_and_at_least_one(version, highest):
    seen = {s: set() for s in highest}
    for players in (1, 2):
        for s, foods in levels(f"Foraging-8x8-{players}p-2f-v{version}", 500):
            seen[s].update(foods)
    assert seen == {s: set(range(1, top + 1)) for s, top in highest.items()}


def test_time_limit_truncates_and_the_last_food_terminates():
    env = make("Foraging-2s-8x8-2p-2f-coop-v2", episode_limit=7)
    env.reset(0)
    ends = [env.step(np.zeros(2, dtype=int))[1:3] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]
    env = make("Foraging-5x5-1p-1f-v3", episode_limit=1)
    both = 0
    for seed in range(50):
        env.reset(seed)
        beside = env._game.available()[0, LOAD]
        reward, terminated, truncated, info = env.step(np.array([LOAD]))
        # Here the last food is taken in the very step of the time limit: termination wins.
        assert (reward, terminated, truncated) == ((1.0, True, False) if beside else (0.0, False, True))
        assert info == {"food_collected": float(beside)}
        both += terminated
    assert 0 < both < 50


def test_all_food_together_is_worth_one():
    env, rng = make("Foraging-5x5-3p-2f-v2", episode_limit=2000), np.random.default_rng(0)
    for seed in range(5):
        env.reset(seed)
        total, over = 0.0, False
        while not over:
            reward, terminated, truncated, _ = env.step(hungry_actions(rng, env))
            total, over = total + reward, terminated or truncated
        assert terminated and total == pytest.approx(1.0)


@pytest.mark.parametrize(
    "spelling",
    [
        "2s-8x8-2p-2f-coop-v2",
        "Foraging-2s-8x8-2p-2f-coop-v2",
        "lbforaging:Foraging-2s-8x8-2p-2f-coop-v2",
        "2s-08x8-2p-2f-coop-v2",
    ],
)
def test_all_spellings_name_one_task(spelling):
    assert task_name("lbf", {"key": spelling}) == "Foraging-2s-8x8-2p-2f-coop-v2"


def test_width_counts_columns_and_height_rows():
    assert make("Foraging-9x5-2p-2f-v3")._game.field.shape == (5, 9)


@pytest.mark.parametrize("key", ["Foraging-12x4-2p-1f-v3", "Foraging-4x12-2p-1f-v2"])
def test_without_short_sight_every_agent_sees_everything(key):
    env = make(key)
    for seed in range(100):
        env.reset(seed)
        assert (env.get_obs() >= 0).all()


@pytest.mark.parametrize(
    "key, why",
    [
        ("Foraging-2s-8x8-2p-2f-coop-v1", "must end with -v2 or -v3"),
        ("2s-8x8-2p-2f-coop", "must end with -v2 or -v3"),
        ("Foraging-3s-8x8-2p-2f-v2", "is not of the form"),
        ("Foraging-8x8-2p-2f-pen-v3", "is not of the form"),
        ("Foraging-8x8-2p-2f-v3\n", "is not of the form"),
        ("", "is not of the form"),
        ("Foraging-2x8-1p-1f-v2", "sides from 3 to 128"),
        ("Foraging-8x129-2p-2f-v2", "sides from 3 to 128"),
        ("Foraging-8x8-0p-2f-v2", "at least one player and one food"),
        ("Foraging-8x8-2p-0f-v2", "at least one player and one food"),
        ("Foraging-5x5-13p-1f-v2", "13 players crowd a 5x5 grid: it takes 12"),
        ("Foraging-5x5-2p-10f-v3", "10 food do not fit on a 5x5 grid.*there are 9 cells"),
        ("Foraging-7x7-2p-26f-v3", "26 food do not fit on a 7x7 grid.*there are 25 cells"),
    ],
)
def test_bad_keys_are_refused_with_the_reason_and_the_form(key, why):
    with pytest.raises(UserError, match=f"(?s){why}.*{re.escape(FORM)}"):
        task_name("lbf", {"key": key})
    with pytest.raises(UserError):
        make(key)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_accepted_key_can_be_played(data):
    width, height = data.draw(st.integers(3, 12)), data.draw(st.integers(3, 12))
    players = data.draw(st.integers(1, width * height // 2))
    foods = data.draw(st.integers(1, (width - 2) * (height - 2)))
    sight, coop = data.draw(st.sampled_from(["", "-2s"])), data.draw(st.sampled_from(["", "-coop"]))
    version = data.draw(st.sampled_from([2, 3]))
    env = make(f"Foraging{sight}-{width}x{height}-{players}p-{foods}f{coop}-v{version}", valid_actions_only=True)
    env.reset(data.draw(st.integers(0, 2**63)))
    assert all(player.position is not None for player in env._game.players)
    reward, *_ = env.step(env.get_avail_actions().argmax(axis=1))
    assert reward == 0.0 and env.get_avail_actions().any(axis=1).all()


def at(picture, drawing, cell, right=0.0):
    """The colour in the middle of a cell, or so many cells to the right of it."""
    x, y = drawing.centre(cell)
    return "#" + "".join(f"{channel:02X}" for channel in picture[int(y), int(x + right * drawing.cell)])


def test_food_and_agents_are_drawn_where_the_game_has_them_and_taken_food_is_not():
    env, rng, taken = make("Foraging-9x6-3p-3f-v3"), np.random.default_rng(0), 0
    for seed in range(10):
        env.reset(seed)
        food, over, drawing = list(env._game.food_left), False, _Drawing(env._game)
        while not over:
            _, terminated, truncated, _ = env.step(hungry_actions(rng, env))
            over = terminated or truncated
            picture = env.render()
            yellow = {cell for cell in np.ndindex(6, 9) if at(picture, drawing, cell) == YELLOW}
            assert yellow == set(map(tuple, np.argwhere(env._game.field).tolist()))
            for agent, player in enumerate(env._game.players):
                assert at(picture, drawing, player.position, right=-0.28) == agent_colour(agent)
        taken += len(food) - len(yellow)
    assert taken > 5


def test_levels_returns_and_the_step_are_written():
    env = make("Foraging-2s-8x8-2p-2f-v2")
    env.reset(0)
    game, below = env._game, _Drawing(env._game).bottom
    (one, other), food, plain = game.players, next(iter(game.food_left)), draw(game)

    def changed():
        """Whether the grid, the line of step and return, and the lines of the agents differ from the plain picture."""
        differs = (draw(game) != plain).any(axis=(1, 2))
        return [bool(part.any()) for part in np.split(differs, [below, below + LINE + 8])]

    assert changed() == [False, False, False]
    one.level = 9
    assert changed() == [True, False, False]
    one.level = int(env.get_obs()[0, -4])
    game.food_left[food] += 1
    assert changed()[0]
    game.food_left[food] -= 1
    one.score = 0.5
    assert changed() == [False, True, True]
    other.score = -0.5  # together nothing, as in the plain picture
    assert changed() == [False, False, True]
    one.score = other.score = 0
    one.reward = 0.5  # the library keeps the last reward beyond a reset: it is none of this episode's
    assert changed() == [False, False, False]
    game.current_step = 1
    assert changed() == [False, True, True]
    one.reward = 0
    assert changed() == [False, True, False]


@pytest.mark.parametrize("key", ["Foraging-2s-8x8-4p-3f-v3", "Foraging-2s-9x5-3p-3f-v2"])
def test_windows_hold_exactly_the_food_and_agents_of_the_observation(key):
    env, task = make(key), parse_key(key)
    rng = np.random.default_rng(0)
    unlike = 0
    for seed in range(200):
        env.reset(seed)
        env.step(rng.integers(0, 5, task.players))
        players = [player.position for player in env._game.players]
        for cell, levels in zip(players, env.get_obs()[:, 2::3], strict=True):
            food, agents = (
                [other for other in others if within(other, window(cell, 2))]
                for others, window in ((env._game.food_left, seen_food), (players, seen_agents))
            )
            assert len(food) == (levels[: task.foods] > 0).sum()
            assert len(agents) == (levels[task.foods :] > 0).sum()
            unlike += len(agents) > sum(within(other, seen_food(cell, 2)) for other in players)
    assert unlike > 10


def within(cell, window):
    top, left, bottom, right = window
    return top <= cell[0] <= bottom and left <= cell[1] <= right


def test_what_an_agent_sees_is_shaded_and_nothing_is_where_all_see_everything():
    env = make("Foraging-2s-9x6-1p-2f-v3")
    for seed in range(10):
        env.reset(seed)
        picture, (agent,), drawing = env.render(), [p.position for p in env._game.players], _Drawing(env._game)
        for cell in set(np.ndindex(6, 9)) - {agent, *env._game.food_left}:
            assert (at(picture, drawing, cell) != GRASS) == within(cell, seen_food(agent, 2))
    env = make("Foraging-9x6-1p-2f-v3")
    env.reset(0)
    empty = set(np.ndindex(6, 9)) - {env._game.players[0].position, *env._game.food_left}
    picture, drawing = env.render(), _Drawing(env._game)
    assert {at(picture, drawing, cell) for cell in empty} == {GRASS}


def test_actions_have_the_librarys_names():
    assert make("Foraging-8x8-2p-2f-v3").action_names() == ["none", "north", "south", "west", "east", "load"]


def test_rewards_of_their_own_are_the_librarys():
    key = "Foraging-6x6-4p-3f-v3"
    env, team = make(key, common_reward=False), make(key)
    assert (env.info.n_rewards, team.info.n_rewards) == (4, 1)
    differ = 0
    for seed in range(10):
        rng, library = np.random.default_rng(seed), gymnasium.make(key, disable_env_checker=True)
        library.reset(seed=seed)
        env.reset(seed)
        team.reset(seed)
        over = False
        while not over:
            actions = hungry_actions(rng, env)
            rewards, *ends, _ = env.step(actions)
            assert rewards.tolist() == library.step(actions.tolist())[1]
            assert team.step(actions)[0] == sum(rewards.tolist())
            differ += len(set(rewards.tolist())) > 1
            over = any(ends)
    assert differ > 5
