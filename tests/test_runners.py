"""All runners play the same episodes, and what the rows of an episode hold."""

import counting_env
import numpy as np
import pytest
import torch as th
from fixtures_mmsa import per_episode

from controllers import REGISTRY as CONTROLLERS
from envs import make_env_from_path
from envs.action_spaces import random_actions
from runners import REGISTRY as RUNNERS
from runners.base_runner import Limits
from settings import Args
from training.seeding import Stream, episode_streams
from utils.errors import RunFailedError
from utils.timing import PhaseClock

N, A, LIMIT = 3, 5, 6
ENV_ARGS = {"n_agents": N, "n_actions": A, "episode_limit": LIMIT}
MAC_ARGS = Args(
    agent="rnn", rnn_hidden_dim=8, n_actions=A, obs_last_action=True, obs_agent_id=True,
    epsilon_start=1.0, epsilon_finish=0.0, epsilon_anneal_time=10, share_parameters=True,
    evaluation_draws=False, evaluation_epsilon=0.0, acting_graph=False, use_rnn=True,
    epsilon_repeat=None, layer_norm=False,
)  # fmt: skip
EPSILON = 0.3
LIMITS = Limits(max_losses_in_a_row=2, env_timeout=60, max_env_restarts=99)


def make_runner(kind, batch_size, env_args=ENV_ARGS):
    path = counting_env.LOSING if "losses" in env_args else counting_env.PATH
    return RUNNERS[kind](path, env_args, batch_size, PhaseClock(), LIMITS)


@pytest.fixture
def runner(request):
    """A runner that is closed after the test: mark the test with its kind and size."""
    made = make_runner(*request.param)
    yield made
    made.close()


def make_mac(runner):
    """A controller with fixed weights whose values hang on what it sees now and on what it has seen before."""
    th.manual_seed(0)
    mac = CONTROLLERS["basic_mac"](runner.scheme, runner.groups, MAC_ARGS)
    with th.no_grad():
        for weight in mac.agent.parameters():
            weight.mul_(3)
        mac.agent.encoder.fc1.weight[:, 0] *= 1e-6  # the episode's number, up to a million
    mac.agent.eval()
    return mac


def streams(numbers):
    return [episode_streams(7, Stream.TRAIN_EPISODE, number) for number in numbers]


def play(runner, numbers, epsilon=EPSILON):
    """Play the numbered episodes, as many at once as the runner can."""
    mac = make_mac(runner)
    blocks, results = [], []
    for first in range(0, len(numbers), runner.batch_size):
        batch, played = runner.run(mac, streams(numbers[first : first + runner.batch_size]), epsilon)
        blocks.append(batch.storage)
        results += played
    return th.cat(blocks), results


NUMBERS = list(range(11))


@pytest.fixture(scope="module")
def one_by_one():
    """The episodes as the simplest runner plays them."""
    runner = make_runner("episode", 1)
    played = play(runner, NUMBERS)
    runner.close()
    return played


@pytest.mark.parametrize(
    "runner", [("vector", 1), ("vector", 3), ("vector", 8), ("parallel", 1), ("parallel", 3)], indirect=True, ids=str
)
def test_every_runner_plays_the_same_episodes(runner, one_by_one):
    storage, results = play(runner, NUMBERS)
    assert th.equal(storage, one_by_one[0])
    assert results == one_by_one[1]


def test_the_episodes_compared_are_all_different_and_end_in_both_ways(one_by_one):
    storage, results = one_by_one
    assert len({row.numpy().tobytes() for row in storage}) == len(NUMBERS)
    assert len({result.seed for result in results}) == len(NUMBERS)
    assert len({result.length for result in results}) > 2
    assert {result.truncated for result in results} == {True, False}


@pytest.mark.parametrize("runner", [("vector", 8)], indirect=True, ids=str)
def test_an_episode_does_not_depend_on_its_slot_or_its_neighbours(runner, one_by_one):
    order = [5, 0, 10, 3, 8]
    storage, results = play(runner, order)
    assert th.equal(storage, one_by_one[0][order])
    assert results == [one_by_one[1][number] for number in order]


@pytest.mark.parametrize("runner", [("vector", 8)], indirect=True, ids=str)
def test_greedy_episodes_draw_nothing_and_differ_from_exploring_ones(runner):
    mac, drawn = make_mac(runner), streams(NUMBERS[:8])
    greedy, _ = runner.run(mac, drawn, 0.0)
    untouched = streams(NUMBERS[:8])
    assert [g.random() for _, g in drawn] == [g.random() for _, g in untouched]
    exploring, _ = runner.run(mac, streams(NUMBERS[:8]), EPSILON)
    assert not th.equal(greedy.storage, exploring.storage)


@pytest.mark.parametrize("runner", [("vector", 8)], indirect=True, ids=str)
def test_actions_follow_the_history_that_learning_unrolls(runner):
    """The best available action of the whole episode's unrolled values is the one that was taken."""
    mac = make_mac(runner)
    batch, results = runner.run(mac, streams(NUMBERS[:8]), 0.0)
    with th.no_grad():
        h = per_episode(batch, lambda rows: mac.agent.encode(mac.build_inputs(rows), rows.sizes))
        q = mac.agent.q_from_hidden(h)
    best = q.masked_fill(~batch["avail_actions"], -th.inf).argmax(-1)
    for episode, result in enumerate(results):
        taken = batch["actions"][episode, : result.length, :, 0]
        assert th.equal(best[episode, : result.length], taken)


@pytest.mark.parametrize("runner", [("vector", 11)], indirect=True, ids=str)
def test_row_t_holds_the_view_before_action_t_and_what_the_action_led_to(runner):
    batch, results = runner.run(make_mac(runner), streams(NUMBERS), EPSILON)
    env = make_env_from_path(counting_env.PATH, ENV_ARGS)
    ends = set()
    for episode, result in enumerate(results):
        row = {name: batch.array(name)[episode] for name in batch.fields}
        env.reset(result.seed)
        total, over, t = 0.0, False, 0
        while not over:
            assert np.array_equal(row["obs"][t], env.get_obs())
            assert np.array_equal(row["state"][t], env.get_state())
            assert np.array_equal(row["avail_actions"][t], env.get_avail_actions())
            reward, terminated, truncated, info = env.step(row["actions"][t, :, 0].astype(int))
            assert row["reward"][t, 0] == np.float32(reward)
            assert row["terminated"][t, 0] == terminated
            total, over, t = total + reward, terminated or truncated, t + 1
        ends.add("terminated" if terminated else "truncated")
        assert np.array_equal(row["obs"][t], env.get_obs())
        assert np.array_equal(row["state"][t], env.get_state())
        assert np.array_equal(row["avail_actions"][t], env.get_avail_actions())
        assert not row["actions"][t].any() and not row["reward"][t].any() and not row["terminated"][t].any()
        assert row["filled"][:, 0].tolist() == [True] * (t + 1) + [False] * (LIMIT - t)
        assert not batch.storage[episode, t + 1 :].any()
        assert (result.length, result.episode_return, result.truncated) == (t, total, truncated)
        assert result.info == info == {"counted": float(t)}
    assert ends == {"terminated", "truncated"}


@pytest.mark.parametrize("runner", [("vector", 8)], indirect=True, ids=str)
def test_every_step_of_an_episode_explores_by_the_next_draws_of_its_own_generator(runner):
    mac, seen = make_mac(runner), []

    def watched(batch, t, hidden, epsilon, draws, bs):
        slots = range(8) if isinstance(bs, slice) else bs
        seen.extend((slot, t, drawn) for slot, drawn in zip(slots, draws, strict=True))
        return select(batch, t, hidden, epsilon, draws, bs)

    select, mac.select_actions = mac.select_actions, watched
    runner.run(mac, streams(NUMBERS[:8]), EPSILON)
    generators = [generator for _, generator in streams(NUMBERS[:8])]
    assert len(seen) > 16
    for slot, _, drawn in sorted(seen, key=lambda entry: entry[:2]):
        assert np.array_equal(drawn, generators[slot].random((2, N)))


def test_the_episode_runner_refuses_several_environments():
    with pytest.raises(ValueError, match="batch_size_run=3"):
        make_runner("episode", 3)


def losing(script, **env_args):
    """Settings of an environment that loses its game: `script` says for an episode's number at which steps."""
    seeds = {number: seed for number, (seed, _) in zip(NUMBERS, streams(NUMBERS), strict=True)}
    return {**ENV_ARGS, "losses": {seeds[number]: steps for number, steps in script.items()}, **env_args}


LOST = {0: [2, 3], 3: [0], 4: [1], 9: [3, 0]}  # 6 losses
EVERY = {number: [LIMIT] for number in NUMBERS}
RESETS = {number: [0, 0] for number in NUMBERS}


@pytest.mark.parametrize("script", [LOST, EVERY, RESETS], ids=["some", "all", "at reset"])
@pytest.mark.parametrize("kind, size", [("vector", 8), ("vector", 3), ("episode", 1), ("parallel", 3)])
def test_a_lost_episode_is_played_again_and_leaves_no_trace(kind, size, script, one_by_one):
    runner = make_runner(kind, size, losing(script))
    storage, results = play(runner, NUMBERS)
    stats = runner.get_stats()
    runner.close()
    assert th.equal(storage, one_by_one[0])
    assert results == one_by_one[1]
    lost = sum(len(steps) for steps in script.values())
    assert stats == {"episodes_lost": lost, "env_restarts": 0, "games_restarted": lost}


def test_a_worker_that_dies_is_replaced_and_its_episode_played_again(tmp_path, one_by_one):
    script = {0: [2], 4: [0, 1]}
    runner = make_runner("parallel", 3, losing(script, fatal=str(tmp_path)))
    storage, results = play(runner, NUMBERS)
    assert runner.get_stats() == {"episodes_lost": 3, "env_restarts": 3, "games_restarted": 0}
    runner.close()
    assert th.equal(storage, one_by_one[0])
    assert results == one_by_one[1]


@pytest.mark.parametrize("kind, size", [("vector", 8), ("parallel", 2)])
def test_an_episode_lost_too_often_in_a_row_ends_the_run_with_one_line(kind, size):
    runner = make_runner(kind, size, losing({0: [1], 1: [2, 0, 1]}))
    says = r"lost 3 times in a row.*crashed at step 1 \(max_losses_in_a_row=2\)"
    with pytest.raises(RunFailedError, match=says) as end:
        play(runner, NUMBERS)
    runner.close()
    assert "\n" not in str(end.value) and str(streams([1])[0][0]) in str(end.value)


def test_without_losses_the_count_is_zero():
    runner = make_runner("vector", 3)
    play(runner, NUMBERS)
    assert runner.get_stats() == {"episodes_lost": 0.0, "env_restarts": 0.0}


class Chance:
    """Acts at random in any space, from each episode's own draws."""

    def __init__(self, info):
        self.info = info

    def init_hidden(self, batch_size):
        return th.zeros(batch_size, 1)

    def draws(self, generators, steps, epsilon):
        return np.stack([generator.integers(2**32, size=steps) for generator in generators])

    def select_actions(self, batch, t_ep, hidden, epsilon, draws, bs):
        available = batch.array("avail_actions")[bs, t_ep]
        space, rngs = self.info.action_space, [np.random.default_rng(drawn) for drawn in draws]
        chosen = [random_actions(space, each, rng) for each, rng in zip(available, rngs, strict=True)]
        return np.array(chosen), hidden


@pytest.mark.parametrize("common_reward", [True, False])
@pytest.mark.parametrize("kind", ["discrete", "continuous", "multidiscrete"])
def test_every_action_space_and_rewards_of_their_own_reach_the_batch(kind, common_reward):
    env_args = {"kind": kind, "common_reward": common_reward, "episode_limit": 4}
    played = []
    for where, size in (("episode", 1), ("vector", 3), ("parallel", 3)):
        runner = RUNNERS[where](counting_env.ACTING, env_args, size, PhaseClock(), LIMITS)
        mac = Chance(runner.info)
        rounds = [runner.run(mac, streams([k] if size == 1 else range(3)), 1.0) for k in range(3 if size == 1 else 1)]
        runner.close()
        played.append(
            (th.cat([batch.storage for batch, _ in rounds]), [each for _, results in rounds for each in results])
        )
    batch = rounds[0][0]
    for storage, results in played:
        assert th.equal(storage, batch.storage) and results == rounds[0][1]
    actions, reward = batch.array("actions")[:, :4], batch.array("reward")[:, :4]
    assert np.array_equal(batch.array("obs")[:, 1:, 0, 2:], actions.reshape(3, 4, -1))  # what the environment was given
    own = actions.sum(axis=-1, dtype=np.float64)
    np.testing.assert_allclose(reward, own.sum(axis=-1, keepdims=True) if common_reward else own, rtol=1e-6)
    for episode, result in enumerate(results):
        assert result.episode_return == pytest.approx(own[episode].sum(), rel=1e-6)
        each = None if common_reward else pytest.approx(own[episode].sum(axis=0), rel=1e-6)
        assert result.agent_returns == each
        assert common_reward or result.episode_return == sum(result.agent_returns)


@pytest.mark.parametrize(
    "spoilt, step, place, common_reward, where",
    [
        ("obs", 0, (1, 3), True, "observation of agent 1, entry 3 is nan after step 0 "),
        ("obs", 2, (2, 0), True, "observation of agent 2, entry 0 is nan after step 2 "),
        ("state", 3, (4,), True, "state, entry 4 is nan after step 3 "),
        ("reward", 2, (), True, "reward is nan for step 2 "),
        ("reward", 1, (2,), False, "reward of agent 2 is nan for step 1 "),
    ],
)
@pytest.mark.parametrize("where_it_runs, size", [("vector", 3), ("episode", 1)])
def test_what_is_not_finite_is_told_where_it_enters(spoilt, step, place, common_reward, where, where_it_runs, size):
    env_args = {"kind": "discrete", "common_reward": common_reward, "episode_limit": 4}
    spoil = {"spoilt": spoilt, "step": step, "place": place, "value": np.nan}
    runner = RUNNERS[where_it_runs](counting_env.SPOILT, env_args | spoil, size, PhaseClock(), LIMITS)
    with pytest.raises(RunFailedError) as told:
        runner.run(Chance(runner.info), streams(range(size)), 1.0)
    seed = streams([0])[0][0]
    assert f"{where}of the episode of seed {seed} (environment 0)" in str(told.value)
    assert "\n" not in str(told.value)


def test_infinity_is_told_of_the_episode_that_has_it():
    env_args = {"kind": "discrete", "common_reward": True, "episode_limit": 4}
    spoil = {"spoilt": "obs", "step": 1, "place": (0, 1), "value": -np.inf}
    runner = RUNNERS["vector"](counting_env.SPOILT, env_args | spoil, 3, PhaseClock(), LIMITS)
    for env in runner.batch.envs[:2]:
        env._step = 99
    with pytest.raises(RunFailedError, match=rf"entry 1 is -inf .* seed {streams([2])[0][0]} \(environment 2\)"):
        runner.run(Chance(runner.info), streams(range(3)), 1.0)
