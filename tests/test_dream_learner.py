"""The dream learner: what each loss trains, when it learns, that dreams alone can teach, and what it says of them."""

import numpy as np
import pytest
import torch as th
import toy_dreams as toy
from fixtures_mmsa import CONFIG_DIR
from tiny_runs import DREAMS

from components.segments import SegmentReplay, Segments
from controllers.dream_mac import DreamMAC
from envs.action_spaces import Discrete
from learners.dream_diagnostics import returns_ahead
from learners.dream_learner import DreamLearner
from modules.worlds import latents, world
from modules.worlds.contract import State
from settings import extended, resolve, to_args
from utils.logging import Logger

TINY = DREAMS | {"learn_after": "0", "behaviour_after": "0", "learner_log_interval": "1"}
METHODS = ["dreamer", "mamba", "mabl", "dmawm", "mabl_sg", "mabl_no_global", "dmawm_tc", "dmawm_ip", "dmawm_as"]
every_method = pytest.mark.parametrize("method", METHODS)


def make(method, noop=None, **changed):
    """A learner of the toy world, and replay to learn from."""
    th.manual_seed(0)
    settings = resolve(method, "lbf", {**TINY, **{k: str(v) for k, v in changed.items()}}, CONFIG_DIR)
    args = extended(
        to_args(settings), n_agents=toy.N, n_actions=toy.A, obs_shape=toy.OBS, state_shape=toy.S,
        action_space=Discrete(), n_rewards=toy.N, noop=noop, obs_images=(),
    )  # fmt: skip
    mac = DreamMAC(toy.SCHEME, toy.GROUPS, args)
    return DreamLearner(mac, toy.SCHEME, Logger(), args), toy.replay()


def snapshot(learner):
    return {name: {k: v.clone() for k, v in part.state_dict().items()} for name, part in learner.trained.items()}


def changed_parts(learner, before):
    after = snapshot(learner)
    return {name for name in after if any(not after[name][k].equal(before[name][k]) for k in after[name])} - {"scale"}


@every_method
def test_each_loss_trains_its_part_alone(method):
    learner, replay = make(method, entropy_coef=1.0)
    before = snapshot(learner)
    segments, segment = learner.sample(replay)
    observed, _ = learner.model_step(segments, segment)
    assert changed_parts(learner, before) == {"world"}
    before = snapshot(learner)
    learner.behaviour_step(segments, segment, observed.states)
    assert changed_parts(learner, before) == {"actor", "critic"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in learner.parameters)


def test_a_second_pass_asks_the_critic_as_it_is_after_its_step():
    learner, replay = make("dmawm", ppo_epochs=3)
    asked, said = [], learner.behaviour.value_loss
    learner.behaviour.value_loss = lambda part: asked.append(part.said is not None) or said(part)
    segments, segment = learner.sample(replay)
    learner.behaviour_step(segments, segment, learner.world.observe(segment).states)
    assert asked == [True, False, False]


@every_method
def test_no_gradient_leads_from_behaviour_into_the_model_or_from_one_to_the_other(method):
    learner, replay = make(method)
    _, segment = learner.sample(replay)
    observed = learner.world.observe(segment)
    dream = learner.behaviour.imagine(learner.world, learner.encode, *learner.starts(segment, observed.states))
    found, _ = learner.behaviour.experience(learner.world, dream)
    (part,) = learner.behaviour.minibatches(found)
    losses = {"actor": learner.behaviour.policy_loss(part, 0.1)[0], "critic": learner.behaviour.value_loss(part)}
    for trained, loss in losses.items():
        for p in learner.parameters:
            p.grad = None
        loss.backward()
        reached = {
            name for name, module in learner.trained.items() if any(p.grad is not None for p in module.parameters())
        }
        assert reached == {trained}


def test_a_round_is_due_every_so_many_steps_and_nothing_is_made_up_for():
    learner, replay = make("dreamer", learn_after=100, train_interval=32)
    taken = []
    learner.round = lambda experience: taken.append(1) or ({}, learner.sample(replay)[1])
    for t_env, rounds in ((64, 0), (99, 0), (130, 1), (150, 1), (160, 2), (320, 7)):
        learner.learn(replay, t_env, 0)
        assert len(taken) == rounds, t_env
    episodes, _ = make("dreamer", train_unit="episodes", train_interval=1)
    taken = []
    episodes.round = lambda experience: taken.append(1) or ({}, episodes.sample(replay)[1])
    for episode, rounds in ((8, 1), (16, 9)):
        episodes.learn(replay, 100 * episode, episode)
        assert len(taken) == rounds


def test_model_actor_and_critic_have_step_sizes_that_fall_each_by_itself():
    for falls in ("model", "actor", "critic"):
        learner, replay = make("dreamer", t_max=1000, learn_after=0, **{f"{falls}_lr_decay": True})
        learner.round = lambda experience, replay=replay, learner=learner: ({}, learner.sample(replay)[1])
        learner.learn(replay, 750, 0)
        for name, optimiser in learner.optimisers.items():
            left = 0.25 if name == falls else 1
            assert optimiser.param_groups[0]["lr"] == pytest.approx(left * learner.parts[name].lr)


def test_behaviour_waits_until_the_model_knows_something():
    learner, replay = make("dreamer", behaviour_after=5, model_steps=2)
    done = []
    learner.behaviour_step = lambda *given: done.append(learner.model_updates) or {}
    learner.learn(replay, 32 * 1, 1)
    learner.learn(replay, 32 * 5, 1)
    assert done == [6, 8, 10]


def test_the_weight_of_the_entropy_falls_with_every_step_of_the_actor_and_goes_on_from_a_checkpoint():
    settings = {"entropy_coef": 0.5, "entropy_anneal": 0.9, "ppo_epochs": 3, "minibatch_rows": 32}  # 64 rows: two steps
    learner, replay = make("dreamer", **settings)
    weights, said = [], learner.behaviour.policy_loss
    learner.behaviour.policy_loss = lambda part, coef: weights.append(coef) or said(part, coef)
    segments, segment = learner.sample(replay)
    learner.behaviour_step(segments, segment, learner.world.observe(segment).states)
    assert weights == pytest.approx([0.5 * 0.9**n for n in range(6)])
    again, _ = make("dreamer", **settings)
    again.load_state(learner.state_tensors(), learner.state_numbers())
    assert again.entropy_coef() == learner.entropy_coef() == pytest.approx(0.5 * 0.9**6)
    constant, _ = make("dreamer", **settings | {"entropy_anneal": 1.0})
    constant.load_state(learner.state_tensors(), learner.state_numbers())
    assert constant.entropy_coef() == 0.5


def test_what_was_saved_goes_on_bit_for_bit():
    learner, replay = make("dmawm")
    learner.learn(replay, 32, 1)
    tensors = {name: tensor.clone() for name, tensor in learner.state_tensors().items()}
    numbers = learner.state_numbers()
    again, _ = make("dmawm")
    again.load_state(tensors, numbers)
    other = SegmentReplay(toy.SCHEME, toy.GROUPS, 1000, toy.END + 1, seed=5)
    other.restore(replay.inserted, replay.since(0), replay.rng_state())
    for one, experience in ((learner, replay), (again, other)):
        th.manual_seed(3)
        one.learn(experience, 96, 2)
    for name, tensor in learner.state_tensors().items():
        assert tensor.equal(again.state_tensors()[name]), name
    assert learner.state_numbers() == again.state_numbers()
    saved = {name.split(".")[1] for name in tensors if name.startswith("trained")}
    assert saved == {"world", "actor", "critic", "scale"}


@every_method
def test_what_is_logged_is_finite_and_named(method):
    learner, replay = make(method)
    learner.learn(replay, 32, 1)
    logged = learner.logger.latest
    assert all(np.isfinite(value) for value in logged.values())
    assert {
        "loss_obs", "loss_reward", "loss_goes_on", "loss_kl", "kl", "prior_entropy", "posterior_entropy",
        "reconstruction_error", "reward_where_some", "reward_where_none", "goes_on_where_ended", "dream_return",
        "real_return", "dream_after_end", "policy_entropy", "value_explained", "loss_policy", "loss_value",
    } <= set(logged)  # fmt: skip


def slow_returns(segment, steps):
    B, T, N = segment.reward.shape
    found, known = th.zeros(B, T, N), th.zeros(B, T, dtype=th.bool)
    for b in range(B):
        for t in range(T):
            k, over = 0, not segment.goes_on[b, t].any()
            while k < steps and not over and t + k + 1 < T and not segment.first[b, t + k + 1]:
                k += 1
                found[b, t] += segment.reward[b, t + k]
                over = not segment.goes_on[b, t + k].any()
            known[b, t] = k == steps or (k > 0 and over)
    return found, known


@pytest.mark.parametrize("steps", [1, 3, 30])
def test_the_real_return_ahead_counts_to_the_episodes_end_and_says_where_it_knows(steps):
    segments = toy.replay(lengths=(4, 6, 5)).sample(20, 12)
    segment = toy.segment(segments)
    total, known = returns_ahead(segment, steps)
    expected, where = slow_returns(segment, steps)
    starts = segment.goes_on.any(dim=-1)  # elsewhere nobody asks
    assert known[starts].equal(where[starts])
    th.testing.assert_close(total[known & starts], expected[known & starts])


def test_dreams_start_where_the_task_goes_on():
    learner, replay = make("dmawm", absorbing_rows=5)
    _, segment = learner.sample(replay)
    start, _, absent = learner.starts(segment, learner.world.observe(segment).states)
    assert not absent.all(dim=-1).any() and len(start.h) == min(16, int(segment.goes_on.any(-1).sum()))


def test_what_can_be_done_at_a_start_is_what_could_be_done_at_its_row():
    learner, replay = make("dmawm", starts=7)
    _, segment = learner.sample(replay)
    B, T = segment.first.shape
    number = th.arange(B * T).view(B, T, 1, 1)
    states = State(number.expand(B, T, toy.N, 1), number.expand(B, T, toy.N, 1))
    absent = (number[..., 0] % 5 == 0).expand(B, T, toy.N)
    goes_on = (number[..., 0] % 2).float().expand(B, T, toy.N)
    segment = segment._replace(avail=(number % 3 == 0).expand_as(segment.avail), absent=absent, goes_on=goes_on)
    start, avail, absent = learner.starts(segment, states)
    rows = start.h[:, 0, 0]
    assert len(rows) == len(set(rows.tolist())) == 7
    assert avail[:, 0, 0].equal(rows % 3 == 0) and absent[:, 0].equal(rows % 5 == 0)
    assert rows.fmod(2).eq(1).all(), "the task goes on at odd rows alone"


def test_the_controller_knows_what_the_model_infers_from_the_same_episode(monkeypatch):
    """Step by step, from its own last actions, what `observe` finds for the whole episode: row for row."""
    monkeypatch.setattr(world, "draw", lambda p, uniforms=None: latents.mode(p))
    learner, _ = make("mabl")
    batch = toy.episode(np.random.default_rng(3).integers(toy.A, size=(toy.END, toy.N)))
    first, last = (th.arange(toy.END + 1).expand(1, -1) == t for t in (0, toy.END))
    segment = toy.segment(Segments(batch, first, last, th.zeros_like(first)))
    inferred = learner.world.features(learner.world.observe(segment).states)
    hidden = learner.mac.init_hidden(1)
    for t in range(toy.END + 1):
        _, hidden = learner.mac.select_actions(batch, t, hidden, 0.0, None)
        th.testing.assert_close(hidden[0], inferred[0, t], atol=1e-5, rtol=1e-5)


def played(learner, batch):
    """What agent 0 does with which probability at each row of an episode (T, W), from what the controller carries."""
    hidden, found = learner.mac.init_hidden(1), []
    for t in range(6):
        probabilities, hidden = learner.mac.step(batch, t, hidden, slice(None))
        found.append(probabilities[0, 0])
    return np.stack(found)


@pytest.mark.parametrize("method", ["dreamer", "mamba", "mabl", "dmawm", "dmawm_as"])
@pytest.mark.parametrize("absent", [None, "absorbing"])
def test_what_an_agent_does_hangs_on_no_other_agents_observation(method, absent):
    """Through controller and actor, not by one bit, whether others are there or gone; MAMBA's agents do hear of it."""
    learner, _ = make(method, noop=0, **({"absent_agents": absent} if absent else {}))
    batch = toy.episode(np.random.default_rng(3).integers(toy.A, size=(toy.END, toy.N)))
    before = played(learner, batch)
    batch.array("obs")[:, :, 1:] = 9 * np.random.default_rng(4).normal(size=batch.array("obs")[:, :, 1:].shape)
    heard = not np.array_equal(played(learner, batch), before)
    batch.array("avail_actions")[:, 3:, 1:, 1:] = False  # and now the others are gone
    gone = not np.array_equal(played(learner, batch), before)
    assert heard == gone == (method == "mamba")
    batch.array("obs")[:, 2:, 0] = 5.0
    assert not np.array_equal(played(learner, batch), before)


def joint_reward():
    """Only when both agents take action 1 is there a reward, in one step out of four of random play."""
    replay, rng = SegmentReplay(toy.SCHEME, toy.GROUPS, 5000, toy.END + 1, seed=0), np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(toy.A, size=(toy.END, toy.N))
        batch = toy.episode(actions)
        batch.array("reward")[0, : toy.END] = actions.all(axis=1)[:, None]
        replay.insert_episode_batch(batch)
    return replay


@pytest.mark.parametrize("method", ["mamba", "dmawm"])
def test_a_task_is_solved_in_dreams_alone(method):
    """The policy never acts: it finds what the segments show."""
    learner, _ = make(method, train_interval=1, model_lr=0.01, actor_lr=0.01, critic_lr=0.01, gamma=0.5, horizon=3)
    replay = joint_reward()
    for _ in range(60):
        learner.model_step(*learner.sample(replay))
    for _ in range(40):
        segments, segment = learner.sample(replay)
        observed, _ = learner.model_step(segments, segment)
        learner.behaviour_step(segments, segment, observed.states)
    features = learner.world.features(observed.states)
    chosen = learner.mac.actor(features, segment.avail).mode()
    assert chosen[~segment.absent].float().mean() > 0.95
