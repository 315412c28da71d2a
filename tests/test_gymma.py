"""Tasks of other packages against the packages themselves: LBF, RWARE, MPE, and small ones made here."""

import sys
from types import ModuleType, SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from packages import needs
from tiny_runs import play, read

from envs import action_spaces as spaces_of_ours
from envs import make_env, task_name
from envs.batch import EnvsInTurn
from envs.gymma import GymmaEnv
from envs.gymma_keys import FORM, parse_key
from envs.lbf import LBFEnv
from utils.errors import UserError

LBF_V3, RWARE, SPREAD = "lbforaging:Foraging-8x8-2p-3f-v3", "rware:rware-tiny-2ag-v2", "pz-mpe-simple-spread-v3"
pytestmark = needs("gymma")


ARGS = {
    "kwargs": "{}", "time_limit": 25, "common_reward": True, "reward_scalarisation": "sum", "state": "auto",
    "mask_in_obs": False, "info_sums": None, "remake": "auto",
}  # fmt: skip


def env_args(key, time_limit=25, **more):
    return {"key": key, **ARGS, "time_limit": time_limit, **more}


def make(key, time_limit=25, **more):
    return make_env("gymma", env_args(key, time_limit, **more))


def test_foraging_equals_our_own_adapter():
    env, ours = make(LBF_V3, 50), LBFEnv("Foraging-8x8-2p-3f-v3", False, True, 50)
    assert (env.info.n_agents, env.info.n_actions, env.info.obs_size) == (2, 6, ours.info.obs_size)
    assert env.info.repeatable and env._task.remake  # its reset depends on the episode before
    rewarded, ends = 0, set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        env.reset(seed)
        ours.reset(seed)
        over = False
        while not over:
            np.testing.assert_array_equal(env.get_obs(), ours.get_obs())
            np.testing.assert_array_equal(env.get_state(), ours.get_state())
            loading = ours._game.available()[:, 5]
            actions = np.where(loading, 5, rng.integers(0, 6, 2))
            *result, _ = env.step(actions)
            assert result == list(ours.step(actions)[:3])  # reward, terminated, truncated
            rewarded += result[0] > 0
            over = result[1] or result[2]
        ends.add(tuple(result[1:]))
    assert rewarded > 10 and ends == {(True, False), (False, True)}


def test_spread_equals_the_package_step_by_step():
    from mpe2 import simple_spread_v3

    env, mean = make(SPREAD), make(SPREAD, reward_scalarisation="mean")
    package = simple_spread_v3.parallel_env(max_cycles=25)
    assert (env.info.n_agents, env.info.n_actions, env.info.obs_size, env.info.state_size) == (3, 5, 18, 54)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        theirs, _ = package.reset(seed=seed)
        env.reset(seed)
        mean.reset(seed)
        for step in range(25):
            np.testing.assert_array_equal(env.get_obs(), np.stack(list(theirs.values())))
            actions = rng.integers(0, 5, 3)
            theirs, rewards, _, cut, _ = package.step(dict(zip(theirs, actions.tolist(), strict=True)))
            reward, terminated, truncated, _ = env.step(actions)
            assert reward == sum(rewards.values()) != 0
            assert mean.step(actions)[0] == pytest.approx(reward / 3, rel=1e-12)
            assert (terminated, truncated) == (False, step == 24) and all(cut.values()) == truncated


def test_the_warehouse_equals_the_package_and_its_own_limit_is_ours():
    env = make(RWARE, 510)
    package = gymnasium.make("rware-tiny-2ag-v2", disable_env_checker=True, max_steps=10_000).unwrapped
    rng = np.random.default_rng(0)
    theirs, _ = package.reset(seed=6)
    env.reset(6)
    for step in range(1, 511):  # the package by itself would end after 500 steps, and call that the end of the task
        np.testing.assert_array_equal(env.get_obs(), np.stack(theirs))
        actions = rng.integers(0, 5, 2)
        theirs, rewards, _, _, _ = package.step(actions.tolist())
        assert env.step(actions) == (sum(rewards), False, step == 510, {})


@needs("vmas")
def test_what_a_scenario_of_vmas_draws_in_its_steps_is_its_own(monkeypatch):
    from envs.vmas_scenarios import Environment, th

    tell = Environment._get_from_scenario

    def noisily(self, **what):
        told = tell(self, **what)
        return [[each + th.rand(1) for each in told[0]], *told[1:]] if what["get_observations"] else told

    monkeypatch.setattr(Environment, "_get_from_scenario", noisily)
    (env, other), told = (make("vmas-dropout", kwargs='{"energy_coeff": 0.03}') for _ in range(2)), []
    for busy in (False, True):
        env.reset(4)
        told.append([])
        for step in range(5):
            if busy:
                other.reset(step)
            env.step(np.zeros(env.info.n_agents, int))
            told[-1].append(env.get_obs().tolist())
    assert told[0] == told[1] and told[0][0] != told[0][1]


@needs("vmas")
def test_a_scenario_of_vmas_equals_the_package():
    env = make("vmas-dropout", 12)
    from envs.vmas_scenarios import vmas

    package = vmas.make_env("dropout", num_envs=1, continuous_actions=False, seed=4)
    theirs = package.reset(seed=4)
    env.reset(4)
    rng = np.random.default_rng(0)
    for _ in range(12):
        np.testing.assert_array_equal(env.get_obs(), np.stack([each[0].numpy() for each in theirs]))
        actions = rng.integers(0, env.info.n_actions, env.info.n_agents)
        theirs, rewards, _, _ = package.step([[int(action)] for action in actions])
        assert env.step(actions)[0] == sum(float(reward) for reward in rewards)
    with pytest.raises(UserError, match="'n_agent': 4} passed but not used by the scenario"):
        make("vmas-balance", kwargs='{"n_agent": 4}')
    assert "gym" not in sys.modules or sys.modules["gym"] is not gymnasium


@needs("vmas")
def test_copies_of_vmas_are_stepped_together_and_play_as_one_alone_does():
    from envs.vmas_batch import ScenarioBatch

    steps = 20  # groups of 2 or 33, were they not filled up, round this episode otherwise from its third step on
    alone, rng = make("vmas-balance", steps), np.random.default_rng(0)
    taken = rng.integers(0, alone.info.n_actions, (steps, alone.info.n_agents))
    alone.reset(12)
    told = [(*alone.step(actions), alone.get_obs().tolist()) for actions in taken]
    for n, mine in ((2, 1), (33, 32)):
        batch = GymmaEnv.make_batch(env_args("vmas-balance", steps), n)
        assert type(batch) is ScenarioBatch and batch.info == alone.info
        batch.reset([0], [3])
        batch.step([0], rng.integers(0, alone.info.n_actions, (1, alone.info.n_agents)))
        batch.reset([mine], [12])
        for step, actions in enumerate(taken):
            if step == 9:
                batch.reset([0], [4])
            others = rng.integers(0, alone.info.n_actions, alone.info.n_agents)
            *led_to, view = batch.step([0, mine], np.stack([others, actions]))[1]
            assert (*led_to, view.obs.tolist()) == told[step]


@needs("vmas")
def test_what_draws_for_all_copies_at_once_is_stepped_in_turn(monkeypatch):
    from envs import vmas_scenarios

    for drawing in ("vmas-discovery", "vmas-simple_push"):  # in steps; once, for all copies of a world
        assert type(GymmaEnv.make_batch(env_args(drawing, 3), 2)) is EnvsInTurn
    assert type(GymmaEnv.make_batch(env_args("vmas-balance", 3, kwargs='{"together": false}'), 2)) is EnvsInTurn
    monkeypatch.setattr(vmas_scenarios, "_plays_apart", lambda *_: True)  # what a short trial has not met
    batch = GymmaEnv.make_batch(env_args("vmas-dispersion", 3, kwargs='{"n_agents": 2}'), 2)
    batch.reset([0, 1], [1, 2])
    scenario = batch._copies.groups[0].env.scenario
    monkeypatch.setattr(scenario, "post_step", lambda: vmas_scenarios.th.rand(1))
    with pytest.raises(UserError, match=r"env_args.key=vmas-dispersion: it draws at random .*kwargs.together=False"):
        batch.step([0, 1], np.zeros((2, 2), int))


def test_the_state_is_the_environments_own_under_pymarls_name_too(register, monkeypatch):
    monkeypatch.setattr(Acting, "get_state", lambda self: np.full(7, 2.0), raising=False)
    env = make(register(actions=Discrete(2)))
    env.reset(0)
    assert env.info.state_size == 7 and (env.get_state() == 2).all()


def test_agents_with_fewer_actions_and_shorter_views_are_padded():
    env = make("pz-mpe-simple-speaker-listener-v4", state="concat")
    env.reset(0)
    assert env.get_avail_actions().tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    speaker, listener = env.get_obs()
    assert speaker[:3].any() and not speaker[3:].any() and listener[3:].any() and env.info.obs_size == 11
    np.testing.assert_array_equal(env.get_state(), np.concatenate([speaker, listener]))


class Leaving:
    """Three agents of PettingZoo: agent i is done after 2 + i steps; a reward of 1 for each that still acts."""

    possible_agents = ("first", "second", "third")
    metadata = {}  # noqa: RUF012
    render_mode = None

    def __init__(self, cut=()):
        self.cut, self.agents = cut, []

    def observation_space(self, agent):
        return Box(0, 9, (2,), np.float64)

    def action_space(self, agent):
        return Discrete(3, start=1 if agent == "third" else 0)

    def reset(self, seed):
        self.agents, self.steps, self.taken = list(self.possible_agents), 0, []
        return {agent: np.full(2, 1.0) for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions):
        self.steps += 1
        self.taken.append(actions)
        acting = self.agents
        over = {agent: self.steps >= 2 + self.possible_agents.index(agent) for agent in acting}
        self.agents = [agent for agent in acting if not over[agent]]
        seen = {agent: np.full(2, 1.0 + self.steps) for agent in acting}
        ended = {agent: over[agent] and agent not in self.cut for agent in acting}
        cut = {agent: over[agent] and agent in self.cut for agent in acting}
        return seen, dict.fromkeys(acting, 1.0), ended, cut, {agent: {} for agent in acting}

    def close(self):
        pass


@pytest.fixture
def leaving(monkeypatch):
    def register(cut=()):
        module = ModuleType("zoo.leaving_v0")
        module.parallel_env = lambda: Leaving(cut)
        monkeypatch.setitem(sys.modules, "zoo", ModuleType("zoo"))
        monkeypatch.setitem(sys.modules, "zoo.leaving_v0", module)
        return "zoo.leaving_v0"

    return register


def test_an_agent_that_has_left_sees_nothing_and_has_one_action(leaving):
    env = make(leaving())
    env.reset(0)
    assert env.get_avail_actions().all()
    assert env.step(np.array([1, 2, 0])) == (3.0, False, False, {}) and env.get_avail_actions().all()
    assert env.step(np.array([1, 2, 0])) == (3.0, False, False, {})
    assert env.get_avail_actions().tolist() == [[True, False, False], [True] * 3, [True] * 3]
    assert env.get_obs().tolist() == [[0, 0], [3, 3], [3, 3]]
    assert env.step(np.array([0, 2, 2])) == (2.0, False, False, {})
    assert env.step(np.array([0, 0, 2])) == (1.0, True, False, {})
    assert env.get_obs().tolist() == [[0, 0], [0, 0], [5, 5]] and env.get_avail_actions().any(axis=1).all()
    taken = env._game.env.taken
    assert taken[0] == {"first": 1, "second": 2, "third": 1}  # the third counts its actions from 1
    assert taken[2:] == [{"second": 2, "third": 3}, {"third": 3}]


def test_the_mean_is_over_all_agents_and_a_truncation_at_the_end_is_one(leaving):
    env = make(leaving(cut=("third",)), reward_scalarisation="mean")
    env.reset(0)
    results = [env.step(np.zeros(3, dtype=int)) for _ in range(4)]
    assert [result[0] for result in results] == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert [result[1:3] for result in results] == [(False, False)] * 3 + [(False, True)]
    for time_limit, how in ((3, (False, True)), (4, (True, False))):  # the task itself ends after four steps
        env = make(leaving(), time_limit)
        env.reset(0)
        ends = [env.step(np.zeros(3, dtype=int))[1:3] for _ in range(time_limit)]
        assert ends == [(False, False)] * (time_limit - 1) + [how]


class Coming(Leaving):
    """The third agent comes with step 2, the first leaves with step 1 and is back with step 3; all end with step 4."""

    def reset(self, seed):
        seen, _ = super().reset(seed)
        self.agents = ["first", "second"]
        return {agent: seen[agent] for agent in self.agents}, {}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.steps += 1
        self.taken.append(actions)
        acting = self.agents
        here = {1: ["second"], 2: ["second", "third"], 3: ["first", "second", "third"], 4: []}[self.steps]
        self.agents = here
        seen = {agent: np.full(2, 1.0 + self.steps) for agent in {*acting, *here}}
        left = {agent: agent not in here for agent in acting}
        return seen, dict.fromkeys(acting, 1.0), left, dict.fromkeys(acting, False), {}


def test_agents_come_late_leave_and_come_back(leaving, monkeypatch):
    monkeypatch.setitem(globals(), "Leaving", Coming)
    env = make(leaving(), common_reward=False)
    env.reset(0)
    told = [(env.get_obs()[:, 0].tolist(), env.get_avail_actions().sum(axis=1).tolist())]
    rewards = []
    for _ in range(4):
        reward, *ends, _ = env.step(np.array([0, 0, 0]))
        rewards.append(reward.tolist())
        told.append((env.get_obs()[:, 0].tolist(), env.get_avail_actions().sum(axis=1).tolist()))
    assert ends == [True, False]
    assert [obs for obs, _ in told] == [[1, 1, 0], [0, 2, 0], [0, 3, 3], [4, 4, 4], [5, 5, 5]]
    assert [choices for _, choices in told] == [[3, 3, 1], [1, 3, 1], [1, 3, 3], [3, 3, 3], [3, 3, 3]]
    assert rewards == [[1, 1, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]]
    assert [sorted(taken) for taken in env._game.env.taken][1:3] == [["second"], ["second", "third"]]


class Relay(Coming):
    """The first two leave with step 1, in which the third comes; it leaves with step 2."""

    def step(self, actions):
        self.steps += 1
        acting, self.agents = self.agents, ["third"] if self.steps == 1 else []
        seen = {agent: np.full(2, 1.0) for agent in {*acting, *self.agents}}
        flags = (dict.fromkeys(acting, flag) for flag in (True, False))
        return seen, dict.fromkeys(acting, 1.0), *flags, {}


def test_an_episode_goes_on_while_somebody_comes(leaving, monkeypatch):
    monkeypatch.setitem(globals(), "Leaving", Relay)
    env = make(leaving())
    env.reset(0)
    assert [env.step(np.zeros(3, dtype=int))[:3] for _ in range(2)] == [(2.0, False, False), (1.0, True, False)]


def test_an_agent_that_nobody_announced_is_refused(leaving, monkeypatch):
    monkeypatch.setattr(Coming, "possible_agents", ("first", "second"))
    monkeypatch.setitem(globals(), "Leaving", Coming)
    with pytest.raises(
        UserError, match="agent third is there, which is none of possible_agents, at step 2 of the epis"
    ):
        make(leaving())


def test_agents_that_act_in_turns_act_at_once_where_the_package_says_that_they_may():
    env, parallel = make("mpe2.simple_spread_v3:env", 25), make(SPREAD, 25)
    for each in (env, parallel):
        each.reset(3)
    rng = np.random.default_rng(0)
    for _ in range(25):
        np.testing.assert_array_equal(env.get_obs(), parallel.get_obs())
        actions = rng.integers(0, 5, 3)
        (reward, *ends, _), (theirs, *other, _) = env.step(actions), parallel.step(actions)
        assert reward == pytest.approx(theirs) and ends == other


def test_a_game_in_turns_is_refused_in_one_line(monkeypatch):
    module = ModuleType("turns_v0")
    module.env = lambda: SimpleNamespace(
        agent_iter=lambda: (), possible_agents=["a"], metadata={"is_parallelizable": False}, close=lambda: None
    )
    monkeypatch.setitem(sys.modules, "turns_v0", module)
    with pytest.raises(
        UserError, match="its agents act in turns, and it does not say that they may act at once"
    ) as why:
        make("turns_v0")
    assert "\n" not in str(why.value)


def test_long_observations_are_flattened_with_a_warning(register, monkeypatch):
    monkeypatch.setattr(Acting, "__init__", long_views(Acting.__init__))
    assert make(register(actions=Discrete(2))).info.notes == (
        "agents see a picture, 64 x 64 with 3 channels: methods with dreams see it through convolutions",
        "agents see 12288 numbers, flattened (by all methods but those with dreams): choose what they need, or smaller "
        "pictures",
    )


def long_views(init):
    def longer(self, *args, **settings):
        init(self, *args, **settings)
        self.observation_space, self.seen = Box(0, 255, (64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)

    return longer


def test_a_missing_vmas_is_one_line_with_the_command(monkeypatch):
    monkeypatch.delitem(sys.modules, "envs.vmas_scenarios", raising=False)
    monkeypatch.setitem(sys.modules, "vmas", None)
    with pytest.raises(UserError, match=r"needs the Python package vmas.*`pip install -r requirements-vmas\.txt"):
        make("vmas-balance")


def test_one_agent_without_tuples_is_a_team_of_one():
    env, package = make("CartPole-v1", 300), gymnasium.make("CartPole-v1")
    seen, _ = package.reset(seed=5)
    env.reset(5)
    over = False
    while not over:
        np.testing.assert_array_equal(env.get_obs(), seen[None])
        seen, reward, over, _, _ = package.step(1)
        assert env.step(np.array([1])) == (reward, over, False, {})


@pytest.mark.parametrize("key, theirs", [("MountainCar-v0", 200), (SPREAD, 25)])
def test_the_packages_limits_give_way(key, theirs):
    env = make(key, theirs + 5)
    env.reset(0)
    ends = [env.step(np.ones(env.info.n_agents, dtype=int))[1:3] for _ in range(theirs + 5)]
    assert ends == [(False, False)] * (theirs + 4) + [(False, True)]


def test_a_new_environment_is_made_for_each_episode_and_the_one_before_closed():
    env = make(SPREAD)
    env.reset(0)
    first, closed = env._game.env, []
    first.close = lambda: closed.append("first")
    env.reset(1)
    second = env._game.env
    assert second is not first and closed == ["first"]
    second.close = lambda: closed.append("second")
    assert env.render().shape == (700, 700, 3)
    env.reset(2)
    assert closed == ["first", "second"]


def test_what_cannot_be_drawn_is_said_in_one_line():
    env = make(LBF_V3)
    env.reset(0)
    with pytest.raises(UserError, match="no render mode rgb_array"):
        env.render()

    def fail():
        raise OSError("no\nscreen")

    env._game.env = SimpleNamespace(render_mode="rgb_array", render=fail)
    with pytest.raises(UserError, match=r"cannot be drawn here: OSError: no screen$"):
        env.render()


@pytest.mark.parametrize(
    "key, module, task, name",
    [
        (LBF_V3, "lbforaging", "Foraging-8x8-2p-3f-v3", "Foraging-8x8-2p-3f-v3"),
        (SPREAD, "mpe2.simple_spread_v3", None, "mpe2-simple_spread_v3"),
        ("mpe2.simple_spread_v3", "mpe2.simple_spread_v3", None, "mpe2-simple_spread_v3"),
        ("pz-sisl-pursuit-v5", "pettingzoo.sisl.pursuit_v5", None, "pettingzoo-sisl-pursuit_v5"),
        ("CartPole-v1", None, "CartPole-v1", "CartPole-v1"),
        ("vmas-balance", "vmas", "vmas-balance", "vmas-balance"),
        ("some.package:space/Env-v0", "some.package", "space/Env-v0", "space-Env-v0"),
    ],
)
def test_keys_name_a_module_and_a_task(key, module, task, name):
    assert parse_key(key) == (module, task)
    assert task_name("gymma", {"key": key, "kwargs": "{}"}) == name


@pytest.mark.parametrize(
    "key, why",
    [
        ("", "must be of the form"),
        ("a b", "must be of the form"),
        ("rware:", "must be of the form"),
        ("../x", "must be of the form"),
        ("rware:rware-tiny-2ag-v9", "Gymnasium knows no rware-tiny-2ag-v9; did you mean rware-tiny-2ag-v2"),
        ("nothing-like-it", "Gymnasium knows no nothing-like-it; is a package: missing before it"),
        ("pz-mpe-simple-sprad-v3", "no module mpe2.simple_sprad_v3; did you mean simple_spread_v3"),
        ("pz-nowhere-x-v0", "no module pettingzoo.nowhere"),
        ("nowhere:Env-v0", "neither a file nowhere.py in .* nor a Python package nowhere; .* requirements-gymma.txt"),
        ("os.path", "no parallel_env"),
        pytest.param("vmas-balanc", "knows no vmas-balanc; did you mean vmas-balance", marks=needs("vmas")),
    ],
)
def test_keys_that_cannot_be_played_are_refused_in_one_line(key, why):
    with pytest.raises(UserError, match=why) as answer:
        make(key)
    assert "\n" not in str(answer.value)
    assert why != "must be of the form" or FORM in str(answer.value)


class Acting(gymnasium.Env):
    """Gymnasium's agents, with action spaces and returned values as a test says; it keeps what it is given."""

    metadata = {}  # noqa: RUF012

    def __init__(self, actions, reward=0.0, ended=False, cut=False):
        self.action_space = actions
        n = len(actions) if isinstance(actions, Tuple) else 1
        each = [Box(-1, 1, (2,)) for _ in range(n)]
        self.observation_space, self.seen = (Tuple(each), tuple(np.ones((n, 2)))) if n > 1 else (each[0], np.ones(2))
        self.told, self.taken = (reward, ended, cut), []

    def reset(self, *, seed=None, options=None):
        return self.seen, {}

    def step(self, actions):
        assert self.action_space.contains(actions), actions
        self.taken.append(actions)
        return self.seen, *self.told, {}


@pytest.fixture
def register():
    """Register an environment with Gymnasium for the length of a test; return its key."""
    made = []

    def as_task(**settings):
        made.append(f"Test{len(made)}-v0")
        gymnasium.register(made[-1], entry_point=lambda **_: Acting(**settings))
        return made[-1]

    yield as_task
    for name in made:
        del gymnasium.registry[name]


def test_multidiscrete_actions_are_choices_part_by_part(register):
    env = make(register(actions=Tuple([MultiDiscrete([3, 2]), Discrete(2, start=5), MultiBinary(3)])))
    info = env.info
    assert info.action_space == spaces_of_ours.MultiDiscrete((3, 2, 2)) and info.n_actions == 7
    env.reset(0)
    own = [[1, 1, 1, 1, 1, 1, 0], [1, 1, 0, 1, 0, 1, 0], [1, 1, 0, 1, 1, 1, 1]]
    assert env.get_avail_actions().astype(int).tolist() == own
    env.step(np.array([[2, 1, 0], [1, 0, 0], [0, 1, 1]]))
    (first, second, third) = env._game.env.taken[0]
    assert (first.tolist(), second, third.tolist()) == ([2, 1], 6, [0, 1, 1])


def test_continuous_actions_are_clipped_shaped_and_padded(register):
    square = Box(np.array([[-1, -2], [0, -np.inf]]), np.array([[1, 2], [3, np.inf]]), dtype=np.float64)
    env = make(register(actions=Tuple([square, Dict(a=Box(-1, 1, (1,)), b=Box(0, 1, (2,)))])))
    space = env.info.action_space
    assert space.low.tolist() == [[-1, -2, 0, -np.inf], [-1, 0, 0, -1]]
    assert space.high.tolist() == [[1, 2, 3, np.inf], [1, 1, 1, 1]]
    env.reset(0)
    assert env.get_avail_actions().tolist() == [[True] * 4, [True] * 3 + [False]]
    env.step(np.array([[5, 1, -2, 99], [0.5, -1, 2, 7]], dtype=np.float32))
    first, second = env._game.env.taken[0]
    assert first.tolist() == [[1, 1], [0, 99]] and first.dtype == np.float64
    assert second["a"].tolist() == [0.5] and second["b"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "actions, why",
    [
        (
            Tuple([Discrete(2), Box(-1, 1, (2,))]),
            r"agent 1 sets numbers \(Box.*\) and agent 0 makes choices \(Discrete",
        ),
        (Tuple([Tuple([Discrete(2), Box(-1, 1, (2,))])] * 2), "agent 0 acts in Tuple.*choices alone or of Boxes alone"),
        (Tuple([Box(0, 9, (2,), np.int64)] * 2), r"agent 0 acts in Box\(0, 9, .*a Box of floats"),
        (Text(3), r"agent 0 acts in Text\("),
    ],
)
def test_action_spaces_that_do_not_go_together_are_refused_in_one_line(register, actions, why):
    with pytest.raises(UserError, match=why) as answer:
        make(register(actions=actions))
    assert "\n" not in str(answer.value)


THREE = Tuple([Discrete(2)] * 3)


@pytest.mark.parametrize(
    "reward, team",
    [
        (2.5, 2.5), (True, 1.0), (3, 3.0), (np.float32(0.5), 0.5), (np.array(2), 2.0), ([1, 2.0, True], 4.0),
        (np.array([1, 2, 3], np.int8), 6.0), ((np.float64(1), np.array(2), np.array([3])), 6.0),
    ],
)  # fmt: skip
def test_a_gymnasium_reward_is_the_teams_or_one_for_each_agent(register, reward, team):
    env = make(register(actions=THREE, reward=reward))
    env.reset(0)
    told = env.step(np.zeros(3, dtype=int))[0]
    assert told == team and type(told) is float


@pytest.mark.parametrize(
    "reward, why",
    [
        ([1.0, 2.0], r"the reward is \[1.0, 2.0\]: it must be one number, the team's, or one for each of the 3 agents"),
        ([[1, 2, 3]], "it must be one number"), (None, "the reward is None: it must be a number"),
        ("high", "it must be a number"), ([1, "x", 3], "the reward of agent 1 is 'x': it must be a number"),
        ({"0": 1.0}, "the reward is {'0': 1.0}: it must be a number"), (1j, "it must be a number"),
    ],
)  # fmt: skip
def test_a_reward_of_another_form_is_refused_at_the_first_step(register, reward, why):
    with pytest.raises(UserError, match=why) as answer:
        make(register(actions=THREE, reward=reward))
    assert str(answer.value).endswith("at step 1 of the episode of seed 101") and "\n" not in str(answer.value)
    env = make(register(actions=THREE))
    env.reset(4)
    env._game.env.told = (reward, False, False)  # it has changed since the trial
    with pytest.raises(UserError, match=why) as answer:
        env.step(np.zeros(3, dtype=int))
    assert str(answer.value).endswith("at step 1 of the episode of seed 4")


@pytest.mark.parametrize("reward, team", [([2.0], 2.0), (np.array([[2]]), 2.0), (2, 2.0)])
def test_a_lone_agents_reward_may_be_an_array_of_one(register, reward, team):
    env = make(register(actions=Discrete(2), reward=reward))
    env.reset(0)
    assert env.step(np.zeros(1, dtype=int))[0] == team


def test_rewards_of_their_own(register):
    env = make(register(actions=THREE, reward=(1, 2, np.array(3))), common_reward=False)
    assert env.info.n_rewards == 3
    env.reset(0)
    rewards = env.step(np.zeros(3, dtype=int))[0]
    assert rewards.tolist() == [1, 2, 3] and rewards.dtype == np.float64
    env = make(register(actions=THREE, reward=1.0), common_reward=False)
    env.reset(0)
    with pytest.raises(UserError, match=r"common_reward=False: .* one reward for the team; take common_reward=True"):
        env.step(np.zeros(3, dtype=int))


@pytest.mark.parametrize(
    "ended, cut, how",
    [
        ((True, False, True), (False, True, False), (False, True)),  # each is over in its own way
        ((True, True, True), False, (True, False)), (True, (True, False, False), (True, False)),
        ((True, True, False), (False, False, False), (False, False)), (False, (True, True, True), (False, True)),
        ([False] * 3, np.array([True, False, True]), (False, False)),
    ],
)  # fmt: skip
def test_an_episode_is_over_when_it_is_for_every_agent(register, ended, cut, how):
    env = make(register(actions=THREE, ended=ended, cut=cut))
    env.reset(0)
    assert env.step(np.zeros(3, dtype=int))[1:3] == how


def test_pettingzoo_rewards_of_their_own_are_0_for_those_who_left(leaving):
    env = make(leaving(), common_reward=False)
    env.reset(0)
    rewards = [env.step(np.zeros(3, dtype=int))[0].tolist() for _ in range(4)]
    assert rewards == [[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    "rewards, why",
    [
        ({"first": 1.0}, "there is no reward for agent second: the rewards are {'first': 1.0}"),
        ([1, 2, 3], r"the reward is \[1, 2, 3\]: it must be a dict, with a number for each agent"),
        ({"first": 1, "second": 2, "third": None}, "the reward of agent third is None: it must be a number"),
    ],
)
def test_pettingzoo_rewards_of_another_form_are_refused(leaving, monkeypatch, rewards, why):
    step = Leaving.step
    monkeypatch.setattr(
        Leaving, "step", lambda self, actions: (step(self, actions)[0], rewards, *step(self, actions)[2:])
    )
    with pytest.raises(UserError, match=why) as answer:
        make(leaving())
    assert str(answer.value).endswith("at step 1 of the episode of seed 101")


def test_pettingzoo_may_give_one_reward_for_the_team(leaving, monkeypatch):
    step = Leaving.step
    monkeypatch.setattr(
        Leaving, "step", lambda self, actions: (lambda told: (told[0], np.int32(7), *told[2:]))(step(self, actions))
    )
    env = make(leaving())
    env.reset(2)
    assert env.step(np.zeros(3, dtype=int))[0] == 7.0


@pytest.mark.parametrize("alg, key", [("qmix", RWARE), ("mmsa", SPREAD)])
def test_whole_runs_learn(tmp_path, alg, key):
    settings = {"env_args.key": key, "env_args.time_limit": "10", "t_max": "100", "test_interval": "100"}
    figures = read(play(alg, "gymma", tmp_path, **settings), "metrics.json")
    assert len(figures["loss_td"]["values"]) >= 1 and np.isfinite(figures["loss_td"]["values"]).all()
    assert set(figures["test_ep_length_mean"]["values"]) == {10.0}
