"""Multi-Agent MuJoCo against the package itself: joints, torques, what is seen, ends of episodes, limits of actions."""

import subprocess
import sys
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from packages import PACKAGES, needs
from tiny_runs import MAIN, play, read

from envs import make_env, task_name
from utils.errors import UserError

pytestmark = needs("mamujoco")
if not pytestmark.args[0]:
    import gymnasium
    import gymnasium_robotics
    from gymnasium_robotics import mamujoco_v1

    from envs.mamujoco import CONFS, ONE_JOINT_EACH, torques

TASKS = [("HalfCheetah", "6x1"), ("Ant", "8x1"), ("Walker2d", "6x1"), ("Hopper", "3x1"), ("Pusher", "3p")]
SMALL = {"env_args.n_bins": "5", "env_args.episode_limit": "10", "t_max": "100", "test_interval": "100"}


TASK = {
    "scenario": "HalfCheetah", "agent_conf": "6x1", "agent_obsk": 1, "action_space": "bins", "n_bins": 11,
    "max_actions": 2000, "episode_limit": 1000,
}  # fmt: skip


def make(scenario="HalfCheetah", agent_conf="6x1", **more):
    return make_env("mamujoco", {**TASK, "scenario": scenario, "agent_conf": agent_conf, **more})


def robot(env):
    """MuJoCo's model and data, and Gymnasium's environment around them."""
    single = env._game.single_agent_env
    return single.model, single.data


def resting(env):
    """The joint action without torque."""
    return np.array([np.abs(table).sum(axis=1).argmin() for table in env._torques])


def joint_of(model, actuator):
    """Name, place in qpos and place in qvel of the joint that an actuator moves."""
    joint = model.actuator_trnid[actuator, 0]
    return model.joint(joint).name, model.jnt_qposadr[joint], model.jnt_dofadr[joint]


THEIRS = [("HalfCheetah", "6x1"), ("Ant", "4x2"), ("Walker2d", "2x3"), ("Hopper", "3x1"), ("Humanoid", "9|8")]


@pytest.mark.parametrize("scenario, conf", THEIRS)
def test_every_step_is_the_packages_own_under_the_same_torques(scenario, conf):
    n_bins = {"9|8": 2, "2x3": 5}.get(conf, 11)
    env, rng, ends = make(scenario, conf, n_bins=n_bins), np.random.default_rng(0), 0
    package = mamujoco_v1.parallel_env(scenario, conf, 1)
    for seed in range(3):
        theirs, _ = package.reset(seed=seed)
        env.reset(seed)
        for _ in range(40):
            for row, seen in zip(env.get_obs(), theirs.values(), strict=True):
                np.testing.assert_array_equal(row[: len(seen)], seen.astype(np.float32))
                assert not row[len(seen) :].any()
            np.testing.assert_array_equal(env.get_state(), package.state().astype(np.float32))
            actions = np.array([rng.choice(np.flatnonzero(row)) for row in env.get_avail_actions()])
            chosen = {agent: env._torques[i][actions[i]] for i, agent in enumerate(package.possible_agents)}
            theirs, rewards, over, _, _ = package.step(chosen)
            reward, terminated, truncated, _ = env.step(actions)
            assert set(rewards.values()) == {reward}  # one reward for the team: every agent is given the same
            assert set(over.values()) == {terminated} and not truncated
            ends += terminated
            if terminated:
                break
    assert ends > 0 or scenario in ("HalfCheetah", "Ant")


@pytest.mark.parametrize("scenario, conf", THEIRS)
def test_continuous_actions_are_the_packages_torques_clipped_to_their_range(scenario, conf):
    env, rng = make(scenario, conf, action_space="continuous"), np.random.default_rng(0)
    package = mamujoco_v1.parallel_env(scenario, conf, 1)
    spaces = [package.action_space(agent) for agent in package.possible_agents]
    low, high = env.info.action_space.low, env.info.action_space.high
    assert env.get_avail_actions().sum(axis=1).tolist() == [space.shape[0] for space in spaces]
    for agent, space in enumerate(spaces):
        np.testing.assert_allclose(low[agent, : space.shape[0]], space.low, rtol=1e-6)
        np.testing.assert_allclose(high[agent, : space.shape[0]], space.high, rtol=1e-6)
    package.reset(seed=3)
    env.reset(3)
    for _ in range(30):
        actions = rng.uniform(1.5 * low, 1.5 * high).astype(np.float32)  # a third of them beyond the range
        clipped = [
            np.clip(own[: len(space.low)], space.low, space.high) for own, space in zip(actions, spaces, strict=True)
        ]
        theirs, rewards, over, _, _ = package.step(dict(zip(package.possible_agents, clipped, strict=True)))
        reward, terminated, _, _ = env.step(actions)
        assert reward == pytest.approx(rewards[package.possible_agents[0]], rel=1e-6, abs=1e-6)
        assert terminated == over[package.possible_agents[0]]
        for row, seen in zip(env.get_obs(), theirs.values(), strict=True):
            np.testing.assert_allclose(row[: len(seen)], seen, rtol=1e-4, atol=1e-4)
        if terminated:
            break


def test_continuous_actions_ask_for_no_bins_and_name_joints():
    env = make("HalfCheetah", "2x3", action_space="continuous", n_bins=13, max_actions=2)
    assert env.info.n_actions == 3 and env.action_names() == ["joint 0", "joint 1", "joint 2"]


def test_pushers_joints_are_seen_in_one_order_that_the_package_leaves_to_chance():
    package, seen = mamujoco_v1.parallel_env("Pusher", "3p", 1), set()
    theirs, _ = package.reset(seed=0)
    for _ in range(20):
        env = make("Pusher", "3p", n_bins=5)
        env.reset(0)
        seen.add(env.get_obs().tobytes())
    assert len(seen) == 1
    for row, view in zip(env.get_obs(), theirs.values(), strict=True):
        np.testing.assert_array_equal(np.sort(row[: len(view)]), np.sort(view.astype(np.float32)))


@pytest.mark.parametrize("scenario, conf", [("Ant", "8x1"), ("Walker2d", "6x1")])
def test_confs_that_the_package_lacks_are_the_same_robot_with_a_joint_per_agent(scenario, conf):
    env, single = make(scenario, conf), gymnasium.make(f"{scenario}-v5").unwrapped
    rng = np.random.default_rng(0)
    state, _ = single.reset(seed=4)
    env.reset(4)
    for _ in range(40):
        np.testing.assert_array_equal(env.get_state(), state.astype(np.float32))
        actions = rng.integers(0, 11, env.info.n_agents)
        state, reward, over, _, _ = single.step(np.linspace(-1, 1, 11)[actions])
        assert env.step(actions)[:2] == (reward, over)
        if over:
            break


@pytest.mark.parametrize("scenario, conf", TASKS)
def test_each_agent_moves_its_own_joints_alone_and_sees_them_first(scenario, conf):
    env = make(scenario, conf, agent_obsk=0, n_bins=5)
    model, data = robot(env)
    moved_by_all = []
    for agent, (table, available) in enumerate(zip(env._torques, env.get_avail_actions(), strict=True)):
        env.reset(agent)
        actions = resting(env)
        actions[agent] = np.flatnonzero(available)[-1]
        env.step(actions)
        moved = np.flatnonzero(data.ctrl)
        np.testing.assert_array_equal(data.ctrl[moved], table[-1])
        names = [joint_of(model, actuator) for actuator in moved]
        seen = [float(value) for _, q, v in sorted(names) for value in (data.qpos[q], data.qvel[v])]
        if scenario not in ("Hopper", "Pusher"):  # they clip velocities, and sort joints by other names
            np.testing.assert_array_equal(env.get_obs()[agent, : len(seen)], np.float32(seen))
        moved_by_all += moved.tolist()
    assert sorted(moved_by_all) == list(range(model.nu))
    if (scenario, conf) in ONE_JOINT_EACH:
        assert moved_by_all == sorted(moved_by_all)


def test_every_conf_of_the_table_gives_every_actuator_to_one_agent():
    for scenario, confs in {**CONFS, "ManySegmentAnt": ("3x1",), "ManySegmentSwimmer": ("2x2",)}.items():
        for conf in confs:
            env = make(scenario, conf, n_bins=2)
            owned = [joint.act_ids for part in env._game.agent_action_partitions for joint in part]
            assert sorted(owned) == list(range(robot(env)[0].nu))
            env.reset(0)
            assert np.isfinite(env.step(np.zeros(env.info.n_agents, dtype=int))[0])


@pytest.mark.parametrize("scenario, conf, n_bins", [("Humanoid", "9|8", 2), ("Pusher", "3p", 5), ("Ant", "8x1", 11)])
def test_levels_go_from_one_end_of_the_torque_range_to_the_other(scenario, conf, n_bins):
    env = make(scenario, conf, n_bins=n_bins)
    (low, high), *others = np.unique(robot(env)[0].actuator_ctrlrange, axis=0)
    assert not others
    for table in env._torques:
        np.testing.assert_allclose(table[0], low, rtol=0)
        np.testing.assert_allclose(table[-1], high, rtol=0)
        if n_bins % 2:
            np.testing.assert_allclose(table[len(table) // 2], 0, atol=1e-12)
        np.testing.assert_allclose(np.unique(table), np.linspace(low, high, n_bins), atol=1e-12)


def test_actions_are_every_combination_of_levels_and_are_named_by_them():
    table = torques(np.array([-1.0, -2.0]), np.array([1.0, 2.0]), 3)
    assert table.tolist() == [[x, y] for y in (-2, 0, 2) for x in (-1, 0, 1)]
    env = make("Pusher", "3p", n_bins=3)
    assert env.get_avail_actions().sum(axis=1).tolist() == [27, 3, 27]
    assert env.action_names()[:4] == ["-2 -2 -2", "+0 -2 -2", "+2 -2 -2", "-2 +0 -2"]
    assert make().action_names()[:6] == ["-1", "-0.8", "-0.6", "-0.4", "-0.2", "+0"]


CHEETAH = ["bfoot", "bshin", "bthigh", "fthigh", "fshin", "ffoot"]  # along the body
WALKER = ["foot_joint", "leg_joint", "thigh_joint", "thigh_left_joint", "leg_left_joint", "foot_left_joint"]


@pytest.mark.parametrize("agent_obsk", [0, 1, 2])
@pytest.mark.parametrize("scenario, chain_of", [("HalfCheetah", CHEETAH), ("Walker2d", WALKER)])
def test_an_agent_sees_its_joint_and_the_positions_of_joints_so_many_away(scenario, chain_of, agent_obsk):
    env = make(scenario, "6x1", agent_obsk=agent_obsk)
    model, data = robot(env)
    env.reset(0)
    for _ in range(5):
        env.step(np.arange(6))
    places = {joint_of(model, actuator)[0]: joint_of(model, actuator)[1:] for actuator in range(6)}
    root = [*data.qpos[1:3], *data.qvel[:3]]  # height, angle, and all three velocities
    for agent in range(6):
        name = joint_of(model, agent)[0]
        at = chain_of.index(name)
        expected = [data.qpos[places[name][0]], data.qvel[places[name][1]]]
        for away in range(1, agent_obsk + 1):
            there = sorted(chain_of[i] for i in (at - away, at + away) if 0 <= i < 6)
            expected += [data.qpos[places[other][0]] for other in there]
        padded = np.zeros(env.info.obs_size, dtype=np.float32)
        padded[: len(expected) + 5] = [*expected, *root]
        np.testing.assert_array_equal(env.get_obs()[agent], padded)


def test_ants_hips_are_neighbours_and_each_ankle_has_its_hip():
    positions = {}
    for agent_obsk in (0, 1, 2):
        env = make("Ant", "8x1", agent_obsk=agent_obsk)
        env.reset(1)
        env.step(np.arange(8))
        model, data = robot(env)
        by_value = {np.float32(data.qpos[joint_of(model, a)[1]]).item(): joint_of(model, a)[0] for a in range(8)}
        for agent in range(8):
            own = joint_of(model, agent)[0]
            body = env.get_obs()[agent, :-11].tolist()  # the root's 5 positions and 6 velocities come last
            positions[own, agent_obsk] = {by_value[value] for value in body if value in by_value} - {own}
    hips, ankles = {f"hip_{leg}" for leg in range(1, 5)}, {f"ankle_{leg}" for leg in range(1, 5)}
    for leg in range(1, 5):
        hip, ankle = f"hip_{leg}", f"ankle_{leg}"
        assert positions[hip, 0] == positions[ankle, 0] == set()
        assert positions[hip, 1] == hips - {hip} | {ankle} and positions[ankle, 1] == {hip}
        assert positions[hip, 2] == (hips | ankles) - {hip}
        assert positions[ankle, 2] == hips  # its own hip, and the others next to that


def test_a_fall_terminates_even_in_the_last_step_and_the_limit_truncates():
    def last(env):
        env.reset(0)
        for step in range(1, 200):
            _, terminated, truncated, info = env.step(np.full(env.info.n_agents, 10))
            if terminated or truncated:
                return step, terminated, truncated, info
        raise AssertionError("no end")

    fell, *how, info = last(make("Walker2d"))
    assert how == [True, False] and 3 < fell < 199 and info.keys() == {"x_position"}
    assert last(make("Walker2d", episode_limit=fell))[:3] == (fell, True, False)
    assert last(make("Walker2d", episode_limit=fell - 1))[:3] == (fell - 1, False, True)
    assert last(make("Reacher", "2x1", episode_limit=70)) == (70, False, True, {})  # beyond its registered 50 steps


def test_an_episode_begins_the_same_after_contacts_and_warm_starts():
    used, fresh = make("Ant", "8x1"), make("Ant", "8x1")
    used.reset(9)
    rng = np.random.default_rng(0)
    for _ in range(60):
        used.step(rng.integers(0, 11, 8))
    assert robot(used)[1].qacc_warmstart.any() and used.get_state()[27:].any()  # forces of contacts
    for env in (used, fresh):
        env.reset(3)
    for _ in range(30):
        assert used.get_state().tobytes() == fresh.get_state().tobytes()
        assert used.get_obs().tobytes() == fresh.get_obs().tobytes()
        actions = rng.integers(0, 11, 8)
        assert used.step(actions) == fresh.step(actions)


def test_models_of_many_segments_leave_nothing_in_the_package(monkeypatch):
    segmented, paths = import_module("envs.mamujoco").SEGMENTED, []
    name, write = segmented["ManySegmentSwimmer"]

    def note(count, path):
        paths.append(path)
        write(count, path)

    monkeypatch.setitem(segmented, "ManySegmentSwimmer", (name, note))
    env = make("ManySegmentSwimmer", "3x2", n_bins=5)
    assert (env.info.n_agents, robot(env)[0].nu) == (3, 6)
    (path,) = paths
    assert not path.startswith(str(Path(gymnasium_robotics.__file__).parent)) and not Path(path).exists()


@pytest.mark.parametrize(
    "bad, why",
    [
        ({"scenario": "HalfCheeta"}, "unknown scenario 'HalfCheeta': did you mean HalfCheetah"),
        ({"scenario": "Ant-v2"}, "unknown scenario 'Ant-v2': did you mean Ant"),
        ({"agent_conf": "3x2"}, "agent_conf=3x2: HalfCheetah takes 2x3 or 6x1"),
        ({"scenario": "Ant", "agent_conf": "6x1"}, "Ant takes 2x4 or 2x4d or 4x2 or 8x1"),
        ({"scenario": "ManySegmentAnt", "agent_conf": "6"}, "takes agents x segments of each"),
        ({"scenario": "ManySegmentSwimmer", "agent_conf": "1x1"}, "at least two segments"),
        ({"agent_conf": "2x3", "n_bins": 13}, r"13\^3 = 2197 actions.*max_actions=2000; take env_args.n_bins=12"),
        ({"agent_conf": "2x3", "n_bins": 13, "max_actions": 1728}, "take env_args.n_bins=12"),
        ({"agent_conf": "2x3", "n_bins": 13, "max_actions": 1727}, "take env_args.n_bins=11"),
        ({"scenario": "Humanoid", "agent_conf": "9|8", "n_bins": 3, "max_actions": 500}, "fewer joints per agent"),
    ],
)
def test_mistakes_are_answered_in_one_line(bad, why):
    with pytest.raises(UserError, match=why) as answer:
        make(**bad)
    assert "\n" not in str(answer.value)


def test_the_limit_of_actions_is_settable():
    assert make("HalfCheetah", "2x3", n_bins=13, max_actions=2197).info.n_actions == 2197


def test_each_robot_is_drawn_as_it_is_when_others_come_and_go():
    one, other = make("Walker2d"), make("Hopper", "3x1")
    one.reset(0)
    other.reset(0)
    try:
        first = one.render()
    except UserError as why:
        pytest.skip(str(why))
    assert not np.array_equal(other.render(), first)
    np.testing.assert_array_equal(one.render(), first)
    other.close()
    np.testing.assert_array_equal(one.render(), first)
    one.step(np.arange(6))
    assert not np.array_equal(one.render(), first) and first.std() > 10


def test_a_machine_that_cannot_draw_is_told_about_mujoco_gl(monkeypatch):
    env = make()
    monkeypatch.setenv("MUJOCO_GL", "egl")

    def fail():
        raise AttributeError("no\ndisplay")

    monkeypatch.setattr(env._game, "render", fail)
    with pytest.raises(UserError, match=r"cannot draw here with MUJOCO_GL=egl \(AttributeError\)") as answer:
        env.render()
    assert "\n" not in str(answer.value)


def test_a_backend_that_mujoco_cannot_load_is_named_in_one_line(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "sketch")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import envs.mamujoco"
    done = subprocess.run([sys.executable, "-c", code, str(MAIN.parent)], capture_output=True, text=True, check=False)
    assert "UserError: MuJoCo does not start with MUJOCO_GL=sketch" in done.stderr.splitlines()[-1]


def test_task_names_tell_scenario_conf_and_sight():
    assert task_name("mamujoco", {"scenario": "Humanoid", "agent_conf": "9|8", "agent_obsk": 2}) == "Humanoid-9-8-obsk2"


@pytest.mark.parametrize("package", PACKAGES["mamujoco"])
def test_a_missing_package_is_answered_with_the_right_file(monkeypatch, package):
    loaded = [name for name in sys.modules if name.split(".")[0] in (package, "gymnasium_robotics")]
    for name in chain(["envs.mamujoco"], loaded):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"Python package {package}.*pip install -r requirements-mamujoco\.txt"):
        make()


@pytest.mark.parametrize("alg, scenario, conf", [("qmix", "HalfCheetah", "6x1"), ("mmsa", "Ant", "8x1")])
def test_whole_runs_learn(tmp_path, alg, scenario, conf):
    task = {"env_args.scenario": scenario, "env_args.agent_conf": conf}
    figures = read(play(alg, "mamujoco", tmp_path, **task, **SMALL), "metrics.json")
    assert len(figures["loss_td"]["values"]) >= 1 and np.isfinite(figures["loss_td"]["values"]).all()
    assert figures["test_ep_length_mean"]["values"][-1] <= 10 and "x_position_mean" in figures


def test_the_package_prints_no_news_of_other_robots():
    command = [sys.executable, "-c", "import envs.mamujoco"]
    done = subprocess.run(command, cwd=MAIN.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
