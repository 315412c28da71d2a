"""The contract of `MultiAgentEnv`, held against every registered environment, and the registry itself."""

import gc
import multiprocessing
import re
import subprocess
import sys
from contextlib import closing
from inspect import Parameter, signature
from itertools import combinations, pairwise
from pathlib import Path

import counting_env
import numpy as np
import pytest
import yaml
from packages import needs
from processes import children
from sc2_here import sc2_here

import envs
from envs import ENVS, env_path, make_batch_from_path, make_env, make_env_from_path, task_name
from envs.action_spaces import random_actions
from envs.batch import EnvsInTurn
from settings import resolve
from utils.errors import UserError

CONFIGS = Path(envs.__file__).parents[1] / "config" / "envs"
OVERCOOKED = yaml.safe_load((CONFIGS / "overcooked.yaml").read_text())["env_args"] | {"max_steps": 40}
SMAX = yaml.safe_load((CONFIGS / "smax.yaml").read_text())["env_args"]
SC2, SC2V2 = (resolve("qmix", name, {}, CONFIGS.parent)["env_args"] for name in ("sc2", "sc2v2"))
FLATLAND = {
    "trains": 2, "side": 24, "cities": 2, "depth": 0, "map_seed": 3, "time_limit": 30, "common_reward": True,
}  # fmt: skip
LBF = {"valid_actions_only": True, "common_reward": True, "episode_limit": 50}
MUJOCO = {"action_space": "bins", "n_bins": 5, "max_actions": 2000}
TORQUES = MUJOCO | {"action_space": "continuous"}
TEAM = {
    "kwargs": "{}", "common_reward": True, "reward_scalarisation": "sum", "state": "auto", "mask_in_obs": False,
    "info_sums": None, "remake": "auto",
}  # fmt: skip
OWN = TEAM | {"common_reward": False}
UNDRAWN = {"lbforaging:Foraging-8x8-2p-3f-v3", "rware:rware-tiny-2ag-v2", "vmas-balance"}  # not without a screen
COUNTING = {"n_agents": 3, "n_actions": 4, "episode_limit": 6}
CASES = [
    ("lbf", {"key": "Foraging-2s-8x8-2p-2f-coop-v2", **LBF}),
    ("lbf", {"key": "Foraging-7x5-3p-3f-v3", **LBF, "valid_actions_only": False, "episode_limit": 9}),
    ("lbf", {"key": "Foraging-5x5-2p-1f-v3", **LBF, "common_reward": False}),
    ("matrix_game", {"key": "one_step"}),
    ("matrix_game", {"key": "two_step"}),
    ("matrix_game", {"key": "climbing"}),
    ("matrix_game", {"key": "penalty"}),
    ("smax", SMAX | {"map_name": "3m"}),
    ("smax", SMAX | {"map_name": "smacv2_5_units"}),
    ("smaclite", {"map_name": "2s3z", "time_limit": 30}),
    ("flatland", FLATLAND),
    ("overcooked", OVERCOOKED),
    ("mamujoco", {"scenario": "HalfCheetah", "agent_conf": "6x1", "agent_obsk": 1, "episode_limit": 6, **MUJOCO}),
    ("mamujoco", {"scenario": "Ant", "agent_conf": "8x1", "agent_obsk": 2, "episode_limit": 8, **MUJOCO}),
    ("mamujoco", {"scenario": "Walker2d", "agent_conf": "6x1", "agent_obsk": 0, "episode_limit": 20, **MUJOCO}),
    ("mamujoco", {"scenario": "Pusher", "agent_conf": "3p", "agent_obsk": 1, "episode_limit": 4, **MUJOCO}),
    ("mamujoco", {"scenario": "Humanoid", "agent_conf": "9|8", "agent_obsk": 1, "episode_limit": 5, **TORQUES}),
    ("gymma", {"key": "lbforaging:Foraging-8x8-2p-3f-v3", "time_limit": 20, **TEAM}),
    ("gymma", {"key": "rware:rware-tiny-2ag-v2", "time_limit": 8, **TEAM}),
    ("gymma", {"key": "pz-mpe-simple-spread-v3", "time_limit": 6, **TEAM}),
    ("gymma", {"key": "pz-mpe-simple-speaker-listener-v4", "time_limit": 5, **TEAM}),
    ("gymma", {"key": "pz-mpe-simple-spread-v3", "time_limit": 4, **OWN}),
    ("gymma", {"key": "pz-mpe-simple-spread-v3", "time_limit": 3, **TEAM, "kwargs": '{"continuous_actions": true}'}),
    ("gymma", {"key": "vmas-balance", "time_limit": 3, **TEAM}),
    ("gymma", {"key": "Pendulum-v1", "time_limit": 4, **TEAM}),
    ("own", {"env": "envs.example_batch:Ring", "kwargs": '{"size": 4}'}),
    ("own", {"env": "envs.matrix_game:MatrixGameEnv", "kwargs": '{"key": "climbing"}'}),
    ("pymarl", {"env": "envs.example_task:Meeting", "kwargs": '{"n_agents": 3}', "common_reward": True}),
    ("sc2", SC2 | {"map_name": "3m"}),
    ("sc2", SC2 | {"map_name": "3s5z", "obs_timestep_number": True}),
    ("sc2v2", SC2V2 | {"map_name": "zerg_5_vs_5"}),
    ("sc2v2", SC2V2 | {"map_name": "terran_10_vs_11", "obs_timestep_number": True}),
    ("counting", COUNTING),
    *(
        ("acting", {"kind": kind, "common_reward": common, "episode_limit": 5})
        for kind in ("discrete", "continuous", "multidiscrete")
        for common in (True, False)
    ),
]
# the folder of a config's task, where it is not the key
NAMED = {"sc2": "3s5z", "sc2v2": "protoss_5_vs_5", "smax": "smax-3s5z", "mamujoco": "HalfCheetah-6x1-obsk1",
         "pymarl": "Meeting", "own": "Ring", "overcooked": "overcooked-cramped_room",
         "smaclite": "smaclite-2s3z", "flatland": "flatland-5t-30x30-2c-map0"}  # fmt: skip
SAID = ("key", "map_name", "scenario", "kind", "common_reward", "action_space")  # in a test's name
DRAWN = ("lbf", "matrix_game", "mamujoco", "gymma")


def params(names=tuple(ENVS), **limits):
    """The cases of some environments, skipped where their package is missing; `limits` in place of their own."""
    return [
        pytest.param(
            name,
            env_args | {word: limit for word, limit in limits.items() if word in env_args},
            id=f"{name}-{'-'.join(str(env_args[word]) for word in SAID if word in env_args)}",
            marks=needs("vmas" if str(env_args.get("key")).startswith("vmas-") else name),
        )
        for name, env_args in CASES
        if name in names
    ]


every_env = pytest.mark.parametrize("name, env_args", params([*ENVS, "counting", "acting"]))
# a picture takes longer than a step: short episodes
DRAWN_CASES = [case for case in params(DRAWN, episode_limit=4) if case.values[1].get("key") not in UNDRAWN]


@pytest.fixture(autouse=True)
def counting(monkeypatch):
    monkeypatch.setitem(ENVS, "counting", counting_env.PATH)
    monkeypatch.setitem(ENVS, "acting", counting_env.ACTING)


@pytest.fixture(autouse=True)
def starcraft(monkeypatch, tmp_path):
    sc2_here(monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Close whatever a test has made: some environments hold processes."""
    made = []

    def tracked(make):
        def making(*args):
            made.append(make(*args))
            return made[-1]

        return making

    for make in (make_env, make_batch_from_path):
        monkeypatch.setattr(sys.modules[__name__], make.__name__, tracked(make))
    yield
    for env in made:
        env.close()


def look(env):
    return [np.array(view) for view in (env.get_obs(), env.get_state(), env.get_avail_actions())]


def copied(view):
    return [np.array(quantity) for quantity in view]


def episode(env, seed, action_seed):
    """Play one episode at random: every view, and (reward, terminated, truncated, info) of every step."""
    rng = np.random.default_rng(action_seed)
    env.reset(seed)
    views, results = [look(env)], []
    while not results or not (results[-1][1] or results[-1][2]):
        results.append(env.step(random_actions(env.info.action_space, views[-1][2], rng)))
        views.append(look(env))
        assert len(results) <= env.info.episode_limit
    return views, results


def fingerprint(played):
    views, results = played
    return [view.tobytes() for step in views for view in step], [
        (np.array(step[0]).tolist(), *step[1:]) for step in results
    ]


def same(one, other):
    return fingerprint(one) == fingerprint(other)


def test_every_registered_environment_is_held_to_the_contract():
    assert {name for name, _ in CASES} == set(ENVS)
    spaces = {make_env(name, env_args).info.action_space.kind for name, env_args in CASES if name == "acting"}
    assert spaces == {"discrete", "continuous", "multidiscrete"}


@every_env
def test_views_have_the_announced_shapes_and_dtypes(name, env_args):
    env = make_env(name, env_args)
    info = env.info
    for seed in range(5):
        for obs, state, available in episode(env, seed, seed)[0]:
            assert (obs.shape, obs.dtype) == ((info.n_agents, info.obs_size), info.obs_dtype)
            assert (state.shape, state.dtype) == ((info.state_size,), info.state_dtype)
            assert (available.shape, available.dtype) == ((info.n_agents, info.n_actions), np.bool_)
            assert np.isfinite(obs).all() and np.isfinite(state).all()
            assert not info.state_of_obs or (state == obs.reshape(-1)).all()
            assert_possible(info.action_space, available)


def assert_possible(space, available):
    """Every agent can do something, in every part; numbers that an agent lacks never come back."""
    if space.kind != "continuous":
        ends = np.cumsum(space.sizes)[:-1] if space.kind == "multidiscrete" else []
        assert all(part.any(axis=1).all() for part in np.split(available, ends, axis=1))


@every_env
def test_the_action_space_is_as_wide_as_the_availability(name, env_args):
    info = make_env(name, env_args).info
    widths = {"discrete": lambda space: info.n_actions, "continuous": lambda space: space.size,
              "multidiscrete": lambda space: sum(space.sizes)}  # fmt: skip
    assert info.n_actions == widths[info.action_space.kind](info.action_space)
    if info.action_space.kind == "continuous":
        low, high = info.action_space.low, info.action_space.high
        assert low.shape == (info.n_agents, info.n_actions) and low.dtype == high.dtype == np.float32
        assert (low < high).all()


@every_env
def test_the_dead_have_the_no_op_alone_and_stay_dead(name, env_args):
    env, deaths = make_env(name, env_args), 0
    noop = env.info.noop
    for seed in range(5 if noop is not None else 0):
        dead = np.zeros(env.info.n_agents, bool)
        for _, _, available in episode(env, seed, seed)[0]:
            now_dead = available[:, noop] & (available.sum(axis=1) == 1)
            assert not (dead & ~now_dead).any()
            dead = now_dead
        deaths += dead.sum()
    assert deaths or noop is None, "nobody died: is it the right action?"


@every_env
def test_results_are_plain_numbers_and_only_the_last_step_ends_the_episode(name, env_args):
    env = make_env(name, env_args)
    for seed in range(20):
        _, results = episode(env, seed, seed)
        for reward, terminated, truncated, info in results:
            if env.info.n_rewards == 1:
                assert type(reward) is float and np.isfinite(reward)
            else:
                assert reward.shape == (env.info.n_agents,) == (env.info.n_rewards,)
                assert reward.dtype == np.float64 and np.isfinite(reward).all()
            assert type(terminated) is bool and type(truncated) is bool
            assert not (terminated and truncated)
            assert all(type(value) is float and np.isfinite(value) for value in info.values())
        *others, (_, terminated, truncated, info) = results
        assert not any(step[1] or step[2] for step in others)
        assert truncated or terminated
        assert not truncated or len(results) == env.info.episode_limit
        assert ("battle_won" in info) == env.info.has_winner


@every_env
def test_the_time_limit_cuts_off_every_episode_that_has_not_ended(name, env_args):
    env = make_env(name, env_args)
    lengths = {(len(results), results[-1][2]) for _, results in (episode(env, seed, seed) for seed in range(20))}
    assert max(length for length, _ in lengths) <= env.info.episode_limit
    assert all(length == env.info.episode_limit for length, truncated in lengths if truncated)


@every_env
def test_a_reset_may_follow_a_reset_or_an_unfinished_episode(name, env_args):
    env, fresh = make_env(name, env_args), make_env(name, env_args)
    env.reset(3)
    env.reset(4)
    env.step(random_actions(env.info.action_space, env.get_avail_actions(), np.random.default_rng(0)))
    played = episode(env, 5, 1)
    assert not env.info.repeatable or same(played, episode(fresh, 5, 1))


@every_env
def test_a_batch_plays_the_episodes_of_single_environments_in_any_slot(name, env_args):
    batch, env = make_batch_from_path(env_path(name), env_args, 4), make_env(name, env_args)
    assert batch.info == env.info
    seeds = {3: 5, 1: 6, 0: 7}  # slot: seed
    rngs = {slot: np.random.default_rng(seed) for slot, seed in seeds.items()}
    firsts = batch.reset([3, 1], [5, 6]) + batch.reset([0], [7])
    played = {slot: ([copied(view)], []) for slot, view in zip(seeds, firsts, strict=True)}
    active = list(seeds)
    while active:
        space = env.info.action_space
        actions = np.array([random_actions(space, played[slot][0][-1][2], rngs[slot]) for slot in active])
        for slot, (*result, view) in zip(active, batch.step(active, actions), strict=True):
            played[slot][0].append(copied(view))
            played[slot][1].append(tuple(result))
        active = [slot for slot in active if not (played[slot][1][-1][1] or played[slot][1][-1][2])]
    if env.info.repeatable:
        assert all(same(played[slot], episode(env, seed, seed)) for slot, seed in seeds.items())
    assert batch.get_stats() == env.get_stats()
    batch.close()
    batch.close()


@every_env
def test_same_seed_and_actions_give_the_same_episode_whatever_came_before(name, env_args):
    fresh, used = make_env(name, env_args), make_env(name, env_args)
    if not fresh.info.repeatable:
        pytest.skip("its engine cannot repeat an episode")
    for seed in range(3):
        episode(used, 100 + seed, seed)
    used.reset(7)
    for seed in range(20, 40):
        assert same(episode(make_env(name, env_args), seed, 1), episode(used, seed, 1))
    assert same(episode(fresh, 5, 1), episode(used, np.int64(5), 1))


@pytest.mark.parametrize("name, env_args", params(["lbf", "smax", "counting"]))
def test_another_seed_gives_another_episode_where_the_task_is_random(name, env_args):
    env = make_env(name, env_args)
    episodes = [episode(env, seed, 1) for seed in range(20)]
    assert not any(same(one, other) for one, other in combinations(episodes, 2))


@every_env
def test_closing_twice_is_harmless_and_leaves_no_process(name, env_args):
    before = children()
    env = make_env(name, env_args)
    episode(env, 0, 0)
    env.close()
    env.close()
    assert children() == before


def test_a_batch_closes_what_it_has_made_when_the_next_one_cannot_be_made(monkeypatch):
    closed, made = [], []

    def make():
        if len(made) == 2:
            raise UserError("no third game")
        made.append(make_env("counting", COUNTING))
        monkeypatch.setattr(made[-1], "close", lambda: closed.append(1))
        return made[-1]

    with pytest.raises(UserError, match="no third game"):
        EnvsInTurn(make, 3)
    assert len(closed) == 2


def test_an_environment_without_replays_says_so_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^this environment keeps no replays: CountingEnv ") as answer:
        make_env("counting", COUNTING).save_replay(tmp_path)
    assert "\n" not in str(answer.value)


@every_env
def test_actions_have_names_of_their_own(name, env_args):
    env = make_env(name, env_args)
    names = env.action_names()
    assert len(set(names)) == len(names) == env.info.n_actions and all(type(word) is str for word in names)


@pytest.mark.parametrize("name, env_args", DRAWN_CASES)
def test_pictures_have_one_size_and_looking_changes_nothing(name, env_args):
    gc.collect()  # a MuJoCo renderer of an earlier test that is collected in the middle freezes these pictures
    looked_at, left_alone = make_env(name, env_args), make_env(name, env_args)
    pictures = []
    if name == "mamujoco":
        skip_without_opengl(looked_at)

    def look_after(method):
        def called(*args):
            answer = method(*args)
            pictures.append(looked_at.render())
            return answer

        return called

    looked_at.step, looked_at.reset = look_after(looked_at.step), look_after(looked_at.reset)
    with closing(looked_at), closing(left_alone):
        for seed in range(2):
            assert same(episode(looked_at, seed, 1), episode(left_alone, seed, 1))
    ((shape, dtype),) = {(picture.shape, picture.dtype) for picture in pictures}
    assert len(shape) == 3 and shape[2] == 3 and min(shape[:2]) > 100 and dtype == np.uint8
    still = sum(np.array_equal(one, two) for one, two in pairwise(pictures))
    assert still <= (2 if name == "gymma" else 0)  # in MPE the first action of an episode moves nothing yet


def skip_without_opengl(env):
    env.reset(0)
    try:
        env.render()
    except UserError as why:
        pytest.skip(str(why))


def test_an_environment_without_pictures_says_so_in_one_line():
    with pytest.raises(UserError, match=r"^this environment cannot be drawn: CountingEnv has no render") as answer:
        make_env("counting", COUNTING).render()
    assert "\n" not in str(answer.value)


def test_training_does_not_load_what_draws():
    code = "import sys, envs.lbf, envs.matrix_game; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONFIGS.parents[1]).returncode == 0


@every_env
def test_task_names_are_safe_folder_names(name, env_args):
    assert re.fullmatch(r"[A-Za-z0-9_-]+", task_name(name, env_args))


def test_counting_episodes_end_in_every_way():
    env = make_env("counting", COUNTING)
    ends = set()
    for seed in range(100):
        _, results = episode(env, seed, 0)
        ends.add((len(results), results[-1][2]))
    assert ends == {(3, False), (4, False), (5, False), (6, False), (6, True)}


def test_counting_env_refuses_misuse():
    env = make_env("counting", COUNTING)
    with pytest.raises(RuntimeError, match="running episode"):
        env.step(np.zeros(3, dtype=int))
    env.reset(0)
    with pytest.raises(ValueError, match="not all available"):
        env.step(np.argmin(env.get_avail_actions(), axis=1))
    episode(env, 0, 0)
    with pytest.raises(RuntimeError, match="running episode"):
        env.step(np.zeros(3, dtype=int))


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in sorted(ENVS)])
def test_configs_declare_exactly_the_constructor_arguments_and_a_playable_task(name):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert config["env"] == name
    env = make_env(name, config["env_args"])
    parameters = signature(type(env)).parameters.values()
    named = [parameter.name for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD]
    if len(named) == len(parameters):
        assert list(config["env_args"]) == named
    else:  # the rest are the package's own arguments
        assert config["env_args"].keys() >= set(named)
    key = NAMED.get(name, config["env_args"].get("key"))
    assert task_name(name, config["env_args"]) == key.removeprefix("lbforaging:")


def test_unknown_environment_names_the_nearest():
    with pytest.raises(UserError, match="unknown environment 'matrixgame': did you mean matrix_game"):
        make_env("matrixgame", {})
    with pytest.raises(UserError, match=r"unknown environment 'zzz'.*lbf.*matrix_game"):
        task_name("zzz", {})


def test_missing_package_is_one_line_with_the_command(monkeypatch):
    for module in ("envs.lbf", "envs.lbf_game"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("lbforaging", "lbforaging.foraging"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"Python package lbforaging.*pip install -r requirements\.txt"):
        make_env("lbf", CASES[0][1])


def test_missing_module_of_our_own_is_not_blamed_on_the_user():
    with pytest.raises(ModuleNotFoundError):
        make_env_from_path("envs.nowhere:Env", {})


def first_view(path, env_args, seed, answers):
    env = make_env_from_path(path, env_args)
    env.reset(seed)
    answers.put(env.get_obs())


def test_spawned_processes_build_an_environment_from_its_path():
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=first_view, args=(env_path("counting"), COUNTING, 3, answers), daemon=True)
    child.start()
    got = answers.get(timeout=60)
    child.join(timeout=60)
    env = make_env("counting", COUNTING)
    env.reset(3)
    assert np.array_equal(got, env.get_obs())
