"""MAPPO and its kin: what each loss trains, a whole update by hand, and every switch does what it says."""

import itertools
import math

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import N, make_batch, padded, with_garbage
from fixtures_policy import SPACES, batch_of, learner_of

from components.episode_rows import EpisodeRows
from components.fresh_episodes import FreshEpisodes
from components.sequences import Sequences
from learners.not_finite import NotFiniteError
from learners.returns import gae

CONFIGS = ("mappo", "ippo", "maa2c", "ia2c")
EPISODES = [(4, "terminated"), (4, "truncated"), (2, "terminated")]
NO_STEP = 1e-12


def looked(learner, batch):
    rows = EpisodeRows(batch, packed=True)
    sequences = Sequences(rows.sizes[1:], learner.args.chunk_length)
    (some,) = sequences.minibatches(1)
    seen, figures = learner.look(rows, one_sequence_each=not sequences.cut)
    return rows, seen, some, figures


def gradients(learner, batch, step="actor_step"):
    """Take a step so small that it changes nothing, and return the gradients that are left, by name."""
    _, seen, some, _ = looked(learner, batch)
    for optimiser in learner.optimisers.values():
        optimiser.param_groups[0]["lr"] = NO_STEP
    for p in learner.parameters:
        p.grad = None
    figures = getattr(learner, step)(seen, some, batch)
    named = [(f"{kind}.{n}", p) for kind, m in learner.trained.items() for n, p in m.named_parameters()]
    return {name: p.grad.clone() for name, p in named if p.grad is not None}, figures


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("config", CONFIGS)
def test_the_actors_loss_trains_the_actor_alone_and_the_critics_the_critic(config, kind):
    learner, batch = learner_of(kind, config), batch_of(kind)
    for step, trained in (("actor_step", "actor"), ("critic_step", "critic")):
        found, _ = gradients(learner, batch, step)
        own = {f"{trained}.{name}" for name, _ in learner.trained[trained].named_parameters()}
        assert found.keys() == own and all(grad.any() for grad in found.values())
    ours = {id(p) for part in learner.part_parameters.values() for p in part}
    assert ours == {id(p) for module in learner.trained.values() for p in module.parameters()}


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("config", CONFIGS)
def test_every_kind_of_action_is_learnt_from_with_and_without_shared_parameters(config, share):
    for kind in SPACES:
        learner = learner_of(kind, config, share_parameters=share, chunk_length="2", minibatches="2")
        before = {name: value.clone() for name, value in learner.state_tensors().items()}
        figures = learner.update(batch_of(kind))
        assert all(value.isfinite() for value in figures.values())
        after = learner.state_tensors()
        assert all(not th.equal(before[name], after[name]) for name in before if name.startswith("trained"))


def by_hand(learner, batch):
    """Advantages and returns of one learner, one episode and one agent after the other; (K, N) in its rows' order."""
    rows, args = EpisodeRows(batch, packed=True), learner.args
    with th.no_grad():
        inputs = learner.mac.build_inputs(rows)
        state = learner.critic_inputs(rows, inputs)
        values = learner.critic.on_reward_scale(learner.critic.value(learner.critic.encode(state, rows.sizes)))
    values, advantages = rows.spread(values), th.zeros(*batch["reward"][:, :-1].shape[:2], N)
    for b in range(batch.batch_size):
        length = int(batch["filled"][b].sum()) - 1
        ended = bool(batch["terminated"][b].any()) or args.truncation == "end"
        goes_on = th.ones(1, length, 1)
        goes_on[0, -1] = not ended
        reward, value = batch["reward"][b : b + 1, :length], values[b : b + 1, : length + 1]
        advantages[b, :length] = gae(reward, value, goes_on, args.gamma, args.gae_lambda)[0]
    advantages = rows.take_pairs(advantages)
    return advantages, advantages + rows.now(rows.take(values))


@pytest.mark.parametrize("settings", [{}, {"truncation": "end"}, {"value_norm": "False"}, {"critic_reads": "own"}])
def test_advantages_and_returns_are_those_of_each_episode(settings):
    learner, batch = learner_of("discrete", "mappo", normalise_advantages="False", **settings), batch_of("discrete")
    if learner.critic.norm is not None:  # values must be brought back to the reward's scale
        learner.critic.norm.update(th.tensor([[3.0, 9.0]]), th.tensor([[0.5, 0.5]]))
    advantages, returns = by_hand(learner, batch)
    _, seen, _, figures = looked(learner, batch)
    th.testing.assert_close(seen.advantages, advantages, rtol=1e-4, atol=1e-5)
    th.testing.assert_close(seen.targets, learner.critic.normalised(returns), rtol=1e-4, atol=1e-5)
    assert figures["return_target_mean"].item() == pytest.approx(returns.mean().item(), rel=1e-4)


@pytest.mark.parametrize("config", CONFIGS)
def test_an_episode_that_was_cut_off_bootstraps_unless_it_counts_as_ended(config):
    for truncation, end, matters in (("bootstrap", "truncated", True), ("end", "truncated", False),
                                     ("bootstrap", "terminated", False)):  # fmt: skip
        targets = []
        for moved in (0.0, 1.0):
            learner, batch = learner_of("discrete", config, truncation=truncation), make_batch([(3, end)])
            batch.array("state")[:, 3] += moved
            batch.array("obs")[:, 3] += moved
            targets.append(looked(learner, batch)[1].targets)
        assert th.equal(*targets) != matters


@pytest.mark.parametrize("kind", SPACES)
def test_the_first_steps_gradient_is_the_policy_gradients_of_living_agents(kind):
    learner, batch = learner_of(kind, "maa2c", entropy_coef="0.02", value_norm="False"), batch_of(kind)
    found, _ = gradients(learner, batch)
    rows, seen, _, _ = looked(learner, batch)
    h = learner.actor.encode(learner.mac.build_inputs(rows), rows.sizes)
    density = learner.actor.density(h, rows["avail_actions"])
    log_prob, entropy = rows.now(density.log_prob(rows["actions"])), rows.now(density.entropy())
    weights = seen.acting / seen.acting.sum()
    loss = -(weights * (seen.advantages * log_prob + 0.02 * entropy)).sum()
    named = dict(learner.actor.named_parameters())
    plain = th.autograd.grad(loss, list(named.values()))
    for name, grad in zip(named, plain, strict=True):
        th.testing.assert_close(found[f"actor.{name}"], grad, rtol=1e-3, atol=1e-5)


def with_dead_agent(batch, agent=1):
    """Let one agent have nothing but action 0 from every episode's second row on."""
    available = batch.array("avail_actions")
    available[:, 1:, agent] = False
    available[:, 1:, agent, 0] = batch.array("filled")[:, 1:, 0]
    batch.array("actions")[:, 1:, agent] = 0
    return batch


def test_a_dead_agents_rows_train_no_actor_and_count_in_no_mean():
    batch = with_dead_agent(batch_of("discrete", EPISODES))
    learner = learner_of("discrete", "mappo")
    _, seen, _, _ = looked(learner, batch)
    rows = EpisodeRows(batch, packed=True)
    alive = rows.now(rows["avail_actions"]).sum(dim=-1) > 1
    assert th.equal(seen.acting.bool(), alive) and not alive[3:, 1].any()
    assert (seen.advantages[~alive] == 0).all() and seen.advantages[alive].mean().abs() < 1e-5
    logits = th.randn(len(alive), N, 5, requires_grad=True)
    log_prob = learner.actor.head(th.zeros(1, N, 8)).__class__(logits, seen.available).log_prob(seen.actions)
    assert (log_prob[~alive] == 0).all()
    assert not th.autograd.grad(log_prob.sum(), logits)[0][~alive].any()
    counted = learner_of("discrete", "mappo", mask_dead="False")
    assert looked(counted, batch)[1].acting.all()


def test_a_dead_agents_values_count_unless_switched_off():
    batch = with_dead_agent(batch_of("discrete", EPISODES))
    counts = [looked(learner_of("discrete", "mappo", critic_mask_dead=s), batch)[1].valued for s in (False, True)]
    assert counts[0].all() and th.equal(counts[1], looked(learner_of(), batch)[1].acting)


def test_a_dead_agents_critic_reads_zeros_if_asked_for():
    batch = with_dead_agent(batch_of("discrete", EPISODES))
    learner = learner_of("discrete", "mappo", critic_dead_zeros="True")
    rows = EpisodeRows(batch, packed=True)
    read = learner.critic_inputs(rows, learner.mac.build_inputs(rows))
    alive = rows["avail_actions"].sum(dim=-1) > 1
    expected = th.where(alive.unsqueeze(-1), rows["state"].unsqueeze(1), 0.0)
    assert th.equal(read, expected)
    assert th.equal(learner_of().critic_inputs(rows, read), rows["state"])


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("config", ["mappo", "ippo"])
def test_padding_and_what_lies_in_it_change_nothing(config, kind):
    plain = batch_of(kind)
    others = [with_garbage(plain)] if kind == "discrete" else []
    if kind == "discrete":
        others.append(padded(plain, rows=3))
    for batch in others:
        one, other = (learner_of(kind, config, minibatches="1") for _ in range(2))
        figures, more = one.update(plain), other.update(batch)
        th.testing.assert_close(figures, more, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("minibatches", [1, 2])
def test_chunks_begin_with_the_histories_that_acted(minibatches):
    settings = {"minibatches": minibatches, "critic": "rnn", "critic_reads": "own", "obs_last_action": "True"}
    learner, batch = learner_of("discrete", "mappo", chunk_length="2", **settings), batch_of("discrete")
    _, seen, some, _ = looked(learner, batch)
    with th.no_grad():
        h = learner.actor.encode(some.take(seen.inputs), some.sizes, some.starts(seen.actor_h))
        th.testing.assert_close(h, some.take(seen.actor_h))
        h = learner.critic.encode(some.take(seen.state), some.sizes, some.starts(seen.critic_h))
        th.testing.assert_close(learner.critic.value(h), some.take(seen.old_values))
    whole = learner_of("discrete", "mappo", **settings)
    _, found, every, _ = looked(whole, batch)
    assert every.places is None and found.old_log_prob is None and len(some.sizes) == 2


def test_the_first_pass_finds_the_old_log_probabilities_and_later_ones_keep_them():
    learner, batch = learner_of("discrete", "mappo", lr="0.05"), batch_of("discrete")
    _, seen, some, _ = looked(learner, batch)
    first = learner.actor_step(seen, some, batch)
    old = seen.old_log_prob.clone()
    second = learner.actor_step(seen, some, batch)
    assert first["approx_kl"].abs() < 1e-6 and second["approx_kl"] > 1e-4
    assert th.equal(seen.old_log_prob, old)


def test_advantages_are_normalised_over_what_counts_if_asked_for():
    batch = with_dead_agent(batch_of("discrete", EPISODES))
    plain = looked(learner_of("discrete", "mappo", normalise_advantages="False"), batch)[1]
    scaled = looked(learner_of("discrete", "mappo"), batch)[1]
    kept = plain.advantages[plain.acting.bool()]
    expected = (plain.advantages - kept.mean()) / (kept.std(correction=0) + 1e-5) * plain.acting
    th.testing.assert_close(scaled.advantages, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("setting", "value", "changes"), [
    ("value_clip", "0.0001", True), ("huber_delta", "0.001", True), ("value_clip", "1000", False),
    ("huber_delta", "1000", False),
])  # fmt: skip
def test_the_critics_loss_is_clipped_and_hubers(setting, value, changes):
    batch = batch_of("discrete")
    plain = {"value_clip": "null", "huber_delta": "null", "critic_lr": "0.05"}
    losses = []
    for settings in (plain, plain | {setting: value}):
        learner = learner_of("discrete", "mappo", **settings)
        _, seen, some, _ = looked(learner, batch)
        losses.append([learner.critic_step(seen, some, batch)["loss_value"].item() for _ in range(2)][1])
    assert (abs(losses[0] - losses[1]) > 1e-5) == changes


def test_ppo_clips_and_a2c_does_not():
    batch = batch_of("discrete")
    for config, clipped in (("mappo", True), ("maa2c", False)):
        learner = learner_of("discrete", config, lr="0.2", epochs="3", normalise_advantages="True")
        assert (learner.update(batch)["ratio_clipped"] > 0) == clipped
    assert learner_of("discrete", "maa2c").args.epochs == learner_of("discrete", "ia2c").args.epochs == 1
    assert math.isinf(learner_of("discrete", "ia2c").args.ppo_clip)


def test_the_policys_entropy_rises_with_its_weight():
    batch = batch_of("discrete")
    entropies = []
    for weight in ("0", "1"):
        learner = learner_of("discrete", "mappo", entropy_coef=weight, lr="0.01")
        for _ in range(5):
            figures = learner.update(batch)
        entropies.append(figures["entropy"])
    assert entropies[1] > entropies[0] + 0.01


class Waiting(FreshEpisodes):
    """Holds one batch that waits."""

    def __init__(self, batch):
        self.batch = batch

    def take(self, batch_size, batch_steps, device="cpu"):
        return self.batch


@pytest.mark.parametrize("config", ["mappo", "coma"])
def test_step_sizes_fall_linearly_to_zero_where_asked_for(config):
    for actor, critic in itertools.product((True, False), repeat=2):
        decays = {"lr_decay": str(actor), "critic_lr_decay": str(critic), "t_max": "1000"}
        learner = learner_of("discrete", config, **decays, lr="0.002", critic_lr="0.004")
        for t_env, left in ((750, 0.25), (1001, 0.0)):
            learner.learn(Waiting(batch_of("discrete")), t_env, 8)
            rates = [optimiser.param_groups[0]["lr"] for optimiser in learner.optimisers.values()]
            assert rates == pytest.approx([0.002 * (left if actor else 1), 0.004 * (left if critic else 1)])
        assert learner.updates == 2


@pytest.mark.parametrize("config", ["mappo", "coma"])
def test_actor_and_critic_have_a_largest_gradient_each(config):
    learner = learner_of("discrete", config, grad_norm_clip="0.5", critic_grad_norm_clip="3")
    assert [part.clip for part in learner.parts.values()] == [0.5, 3]


def test_epochs_and_minibatches_are_that_many_steps():
    learner = learner_of("discrete", "mappo", epochs="3", minibatches="2", chunk_length="2")
    learner.update(batch_of("discrete"))
    steps = {int(state["step"]) for optimiser in learner.optimisers.values() for state in optimiser.state.values()}
    assert steps == {6}


@pytest.mark.parametrize("config", CONFIGS)
def test_every_agent_learns_from_a_reward_of_its_own(config):
    batch = batch_of("discrete", n_rewards=N)
    learner = learner_of("discrete", config, n_rewards=N, normalise_advantages="False")
    before = looked(learner, batch)[1].targets
    batch.array("reward")[:, 0, 2] += 1.0
    moved = (looked(learner_of("discrete", config, n_rewards=N), batch)[1].targets - before).abs().amax(dim=0)
    assert moved[2] > 0.1
    learner = learner_of("discrete", config, n_rewards=N, value_norm="False")
    one = looked(learner, batch)[1].targets
    batch.array("reward")[:, 0, 2] += 1.0
    assert ((looked(learner, batch)[1].targets - one).abs().amax(dim=0) > 0).tolist() == [False, False, True]


def test_the_central_critic_sees_the_state_and_the_agents_own_critic_what_the_agent_has_seen():
    for config, state_matters, past_matters in (("mappo", True, False), ("ippo", False, True)):
        learner = learner_of("discrete", config)
        values = []
        for change in (None, "state", "obs"):
            batch = make_batch([(4, "terminated")])
            if change:
                batch.array(change)[:, 0] += 1.0
            rows = EpisodeRows(batch, packed=True)
            with th.no_grad():
                state = learner.critic_inputs(rows, learner.mac.build_inputs(rows))
                values.append(learner.critic.value(learner.critic.encode(state, rows.sizes)))
        assert (not th.equal(values[0][0], values[1][0])) == state_matters
        assert (not th.equal(values[0][2], values[2][2])) == past_matters


@pytest.mark.parametrize("config", [*CONFIGS, "coma"])
def test_numbers_that_are_not_finite_end_an_update_before_anything_has_changed(config):
    learner, batch = learner_of("discrete", config), batch_of("discrete")
    before = {name: value.clone() for name, value in learner.state_tensors().items()}
    batch.array("reward")[0, 1] = np.nan
    with pytest.raises(NotFiniteError) as error:
        learner.update(batch)
    assert error.value.names[0] == "batch.reward" and error.value.batch is batch
    after = learner.state_tensors()
    assert all(th.equal(before[name], after[name]) for name in before) and before.keys() == after.keys()
