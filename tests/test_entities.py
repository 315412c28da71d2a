"""Which numbers of an observation belong to what is seen: entities change places, and their numbers with them."""

import numpy as np
import pytest
from packages import needs

from envs import make_env
from envs.entities import Entities, EntityKind, laid_out
from envs.lbf import LBFEnv


def test_blocks_in_a_row_are_told_apart():
    blocks = [("food", 2, 3), (None, 1, 2), ("ally", 2, 1), ("ghost", 0, 4), ("ally", 2, 1), (None, 1, 1)]
    found = laid_out(blocks, {"food": (4, 5)})
    food = EntityKind("food", ((0, 1, 2), (3, 4, 5)), (4, 5))
    assert found == Entities((6, 7, 12), (food, EntityKind("ally", ((8, 10), (9, 11)))))


def every_number(entities):
    return sorted([*entities.own, *(i for kind in entities.kinds for each in kind.features for i in each)])


@pytest.mark.parametrize(("name", "env_args"), [
    ("lbf", {"key": "Foraging-8x8-3p-4f-v3", "valid_actions_only": True, "common_reward": True, "episode_limit": 9}),
    pytest.param("smax", {"map_name": "2s3z", "enemy_shoots": True, "attack_mode": "closest", "see_enemy_actions": True,
                          "walls_cause_death": True, "won_battle_bonus": 1.0, "max_steps": 5}, marks=needs("smax")),
])  # fmt: skip
def test_every_number_of_an_observation_is_somebodys(name, env_args):
    env = make_env(name, env_args)
    assert every_number(env.info.entities) == list(range(env.info.obs_size))
    env.close()


def test_foods_and_players_of_lbf_are_where_they_are_said_to_be():
    env = LBFEnv("Foraging-8x8-3p-4f-v3", valid_actions_only=True, common_reward=True, episode_limit=9)
    env.reset(3)
    food, ally = env.info.entities.kinds
    obs = env.get_obs()
    own = obs[:, list(env.info.entities.own)]
    others = {tuple(numbers) for numbers in own.tolist()}
    for i, row in enumerate(obs):
        seen = {tuple(row[list(each)].tolist()) for each in ally.features}
        assert seen == others - {tuple(own[i].tolist())}
        assert {tuple(row[list(each)].tolist()) for each in food.features} == foods_of(env)


def foods_of(env):
    field = np.array(env._game.field)
    return {(int(y), int(x), int(field[y, x])) for y, x in np.argwhere(field)}


def permuted(before, after, kinds, orders):
    """The slices of what changed places come in the new order, and everything else stays where it was."""
    expected = before.copy()
    for kind, order in zip(kinds, orders, strict=True):
        each = np.array(kind.features)
        assert len(np.unique(before[each], axis=0)) == len(each) > 1, "no two are alike, else nothing would be seen"
        expected[each] = before[each[order]]
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("seed", [3, 4])
def test_foods_and_players_of_lbf_that_change_places_change_their_numbers(seed):
    env = LBFEnv("Foraging-8x8-4p-4f-v3", valid_actions_only=True, common_reward=True, episode_limit=9)
    env.reset(seed)
    game, (food, ally) = env._game, env.info.entities.kinds
    before = env.get_obs()[0].copy()
    others, foods = [2, 0, 1], [1, 3, 0, 2]
    game.players[1:] = [game.players[1 + i] for i in others]
    game._gen_valid_moves()
    permuted(before, game._make_gym_obs()[0], [ally], [others])
    left = list(game.food_left.items())
    game.food_left = dict(left[i] for i in foods)
    game._views.clear()
    game._gen_valid_moves()
    permuted(before, game._make_gym_obs()[0], [food, ally], [foods, others])


@needs("gymma")
def test_landmarks_and_agents_of_simple_spread_that_change_places_change_their_numbers():
    from mpe2 import simple_spread_v3

    from main import CONFIG_DIR
    from settings import resolve

    args = resolve("qmix", "gymma", {"env_args.key": "pz-mpe-simple-spread-v3"}, CONFIG_DIR)["env_args"]
    env = make_env("gymma", args)
    landmark, ally = env.info.entities.kinds
    env.close()
    game = simple_spread_v3.parallel_env().unwrapped
    game.reset(seed=1)
    world, scenario = game.world, game.scenario
    for number, each in enumerate(world.agents):
        each.state.c = np.array([number, -number], dtype=np.float64)  # what it says, of which silent agents say nothing
    agent = world.agents[0]
    before = scenario.observation(agent, world)
    world.landmarks[:] = [world.landmarks[i] for i in (2, 0, 1)]
    world.agents[1:] = world.agents[:0:-1]
    permuted(before, scenario.observation(agent, world), [landmark, ally], [[2, 0, 1], [1, 0]])


@needs("smax")
def test_smax_units_that_change_places_change_their_numbers_and_actions():
    import jax

    from envs.smax_battles import game

    rules = {"enemy_shoots": True, "attack_mode": "closest", "see_enemy_actions": True, "walls_cause_death": True,
             "won_battle_bonus": 1.0, "max_steps": 5, "map_name": "2s3z"}  # fmt: skip
    played = game(**rules)
    battle, (ally, enemy) = played.env._env, played.info.entities.kinds
    _, state = battle.reset(jax.random.PRNGKey(1))
    near = np.full((battle.num_agents, 2), 16.0) + np.random.default_rng(1).random((battle.num_agents, 2))
    state = state.replace(unit_positions=near, unit_health=state.unit_health - np.arange(battle.num_agents))
    order = np.arange(battle.num_agents)
    order[played.n_allies :] = played.n_allies + np.array([2, 0, 1, 4, 3])
    order[1:3] = 2, 1  # what agent 0 sees of its allies changes places, too
    swapped = jax.tree.map(lambda x: x[order] if np.ndim(x) and len(x) == len(order) else x, state)
    before, after = (np.asarray(battle.get_obs(s)["ally_0"]) for s in (state, swapped))
    options = [np.asarray(battle.get_avail_actions(s)["ally_0"]) for s in (state, swapped)]
    places = {"ally": order[1 : played.n_allies] - 1, "enemy": order[played.n_allies :] - played.n_allies}
    for kind in (ally, enemy):
        each = np.array(kind.features)
        assert (before[each] != 0).any() and not np.array_equal(before[each], after[each])
        np.testing.assert_array_equal(after[each], before[each[places[kind.name]]])
    attacks = np.array(enemy.actions)
    np.testing.assert_array_equal(options[1][attacks], options[0][attacks[places["enemy"]]])
    own = list(played.info.entities.own)
    np.testing.assert_array_equal(after[own], before[own])


@needs("gymma")
def test_landmarks_and_allies_of_simple_spread_are_where_they_are_said_to_be():
    from mpe2 import simple_spread_v3

    from main import CONFIG_DIR
    from settings import resolve

    args = resolve("qmix", "gymma", {"env_args.key": "pz-mpe-simple-spread-v3"}, CONFIG_DIR)["env_args"]
    env = make_env("gymma", args)
    assert every_number(env.info.entities) == list(range(env.info.obs_size))
    landmark, ally = env.info.entities.kinds
    game = simple_spread_v3.parallel_env()
    seen, _ = game.reset(seed=1)
    world = game.unwrapped.world
    for agent, obs in zip(world.agents, seen.values(), strict=True):
        places = [each.state.p_pos - agent.state.p_pos for each in world.landmarks]
        np.testing.assert_allclose(obs[np.array(landmark.features)], np.array(places), rtol=1e-5)
        others = [each.state.p_pos - agent.state.p_pos for each in world.agents if each is not agent]
        np.testing.assert_allclose(obs[np.array(ally.features)][:, :2], np.array(others), rtol=1e-5)
    env.close()
