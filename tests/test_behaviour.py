"""Behaviour in imagination, in a world whose dynamics are known: credit, ends, weights; PPO's minibatches."""

from types import SimpleNamespace

import pytest
import torch as th
from torch import nn

from learners.behaviour import Behaviour, Experience, ReturnScale, scaled, survival
from modules.critics.dream_critic import DreamCritic
from modules.worlds.contract import Dream, State
from modules.worlds.heads import number_head

K, L, N, F, W = 3, 4, 2, 5, 3
GAMMA, LAM = 0.9, 0.8


def settings(**changed):
    given = dict(
        horizon=L, gamma=GAMMA, gae_lambda=LAM, ppo_epochs=1, ppo_clip=0.2, minibatch_rows=None,
        weigh_by_survival=False, advantage_scale="none", advantage_floor=1.0,
    )  # fmt: skip
    return SimpleNamespace(**given | changed)


class Features(nn.Module):
    """A world of which only the features are asked."""

    def features(self, state):
        return state.h

    critic_features = features


def some_dream(goes_on=None):
    th.manual_seed(0)
    goes_on = th.rand(K, L, N) if goes_on is None else goes_on
    return Dream(
        State(th.randn(K, L + 1, N, F), th.zeros(K, L + 1, N, 1)), th.ones(K, L, N, W, dtype=th.bool),
        th.randint(W, (K, L, N, 1)), th.randn(K, L, N), th.randn(K, L, N), goes_on, th.zeros(K, L, N, dtype=th.bool),
    )  # fmt: skip


def behaviour(**changed):
    critic = DreamCritic(F, 8, 1, number_head("squared", 3, 1.0))
    nn.init.normal_(critic.net[-1].weight)
    return Behaviour(None, critic, ReturnScale(), settings(**changed))


def test_advantages_are_eq_7_with_what_arrives_at_the_next_row():
    acting, dream = behaviour(), some_dream()
    found, _ = acting.experience(Features(), dream)
    v = acting.critic.values(dream.states.h)
    for k in range(K):
        for i in range(N):
            after = 0.0
            for t in reversed(range(L)):
                r, c = dream.reward[k, t, i], dream.goes_on[k, t, i]
                after = r + GAMMA * c * v[k, t + 1, i] - v[k, t, i] + GAMMA * LAM * c * after
                assert found.advantages[k, t, i] == pytest.approx(after.item(), abs=1e-5)
                assert found.returns[k, t, i] == pytest.approx((after + v[k, t, i]).item(), abs=1e-5)
    assert found.features.equal(dream.states.h[:, :-1])  # the actor is scored where it acted


def test_the_first_pass_uses_what_the_critic_has_just_said():
    """Loss and gradient are those of asking it anew; of parts, and after a step, it is asked anew."""
    acting, dream = behaviour(), some_dream()
    found, _ = acting.experience(Features(), dream)
    (whole,) = acting.minibatches(found)
    parameters = list(acting.critic.parameters())
    losses = [acting.value_loss(part) for part in (whole, whole._replace(said=None))]
    assert losses[0].equal(losses[1])
    for one, other in zip(*(th.autograd.grad(loss, parameters) for loss in losses), strict=True):
        th.testing.assert_close(one, other)
    split = behaviour(minibatch_rows=5)
    assert all(part.said is None for part in split.minibatches(split.experience(Features(), dream)[0]))


def test_nothing_after_an_imagined_end_counts_where_steps_are_weighed():
    goes_on = th.ones(K, L, N)
    goes_on[:, 1] = 0.0  # the second step is the last
    plain, weighed = (
        behaviour(weigh_by_survival=weigh).experience(Features(), some_dream(goes_on))[0] for weigh in (False, True)
    )
    assert plain.policy_weights.eq(1 / (K * L * N)).all()
    assert weighed.policy_weights[:, :2].eq(1 / (K * 2 * N)).all() and weighed.policy_weights[:, 2:].eq(0).all()
    th.testing.assert_close(survival(goes_on)[0, :, 0], th.tensor([1.0, 1.0, 0.0, 0.0]))


def test_absent_agents_teach_the_actor_nothing_and_the_critic_something():
    dream = some_dream()
    dream.absent[0, 2:, 1] = True
    found, _ = behaviour().experience(Features(), dream)
    assert found.policy_weights[0, 2:, 1].eq(0).all() and found.value_weights[0, 2:, 1].gt(0).all()
    assert found.policy_weights.sum() == pytest.approx(1) and found.value_weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("form", ["none", "std", "range"])
def test_advantages_that_are_all_alike_are_not_blown_up(form):
    weights = th.full((K, L, N), 1 / (K * L * N))
    noise = 1e-3 * th.randn(K, L, N)
    assert scaled(noise, weights, form, 0.1, noise.new_tensor(1e-3)).abs().max() < 0.05
    large = 50 * th.randn(K, L, N)
    out = scaled(large, weights, form, 0.1, large.new_tensor(200.0))
    if form == "std":
        assert out.mean().abs() < 1e-5 and out.square().mean().sqrt() == pytest.approx(1, abs=1e-4)
    th.testing.assert_close(out, {"none": large, "range": large / 200}.get(form, out))


def test_the_scale_of_returns_is_a_slow_mean_of_their_range():
    scale, slow, weight = ReturnScale(decay=0.9), 0.0, 0.0
    for k in range(5):
        returns = th.randn(100) * (k + 1)
        scale.update(returns)
        slow = 0.9 * slow + 0.1 * (returns.quantile(0.95) - returns.quantile(0.05)).item()
        weight = 0.9 * weight + 0.1
    assert scale().item() == pytest.approx(slow / weight, rel=1e-5)


@pytest.mark.parametrize("size, parts", [(None, 1), (5, 3), (12, 1), (100, 1)])
def test_minibatches_hold_every_row_once_with_the_weights_of_a_mean(size, parts):
    found, _ = behaviour().experience(Features(), some_dream())
    split = behaviour(minibatch_rows=size).minibatches(found)
    assert len(split) == parts
    together = th.cat([part.returns for part in split])
    assert together.sum() == pytest.approx(found.returns.sum().item(), rel=1e-4) and len(together) == K * L
    for part in split:
        assert part.policy_weights.sum() == pytest.approx(1, rel=1e-5)


def test_the_policy_moves_towards_what_was_better():
    from envs.action_spaces import Discrete
    from modules.actors.dream_actor import DreamActor

    th.manual_seed(0)
    acting = behaviour()
    acting.actor = DreamActor(F, 8, 1, Discrete(), W, "fixed", 0.5)
    x, avail = th.randn(K * L, N, F), th.ones(K * L, N, W, dtype=th.bool)
    actions = th.randint(W, (K * L, N, 1))
    weights = th.full((K * L, N), 1 / (K * L * N))
    better = 2.0 * (actions[..., 0] == 1) - 1
    old = acting.actor(x, avail).log_prob(actions).detach()
    found = Experience(x, x, avail, actions, old, better, better, weights, weights)
    loss, metrics = acting.policy_loss(found, 0.0)
    loss.backward()
    assert metrics["approx_kl"] == pytest.approx(0, abs=1e-6)
    with th.no_grad():
        for p in acting.actor.parameters():
            p -= 0.5 * p.grad
    moved = acting.actor(x, avail).log_prob(actions) - old
    assert (moved * better).mean() > 0
