"""The losses of policy gradients against loops in plain Python, and PPO's gradient against the policy gradient's."""

import math

import pytest
import torch as th

from learners.policy_losses import counterfactual_advantages, ppo_policy_loss, value_loss
from modules.actors.densities import Categorical


def some(seed=0, rows=7, agents=3):
    th.manual_seed(seed)
    counted = th.rand(rows, agents) < 0.7
    weights = counted / counted.sum()
    return *(th.randn(rows, agents) for _ in range(3)), weights


@pytest.mark.parametrize("clip", [0.2, math.inf])
def test_ppo_takes_the_lower_of_the_two_for_every_action(clip):
    log_prob, old, advantages, weights = some()
    loss, metrics = ppo_policy_loss(log_prob, old, advantages, weights, clip)
    slow, outside, kl = 0.0, 0.0, 0.0
    for new, before, a, w in zip(*(x.flatten().tolist() for x in (log_prob, old, advantages, weights)), strict=True):
        ratio = math.exp(new - before)
        bounded = min(max(ratio, 1 - clip), 1 + clip)
        slow -= w * min(ratio * a, bounded * a)
        outside += w * (abs(ratio - 1) > clip)
        kl += w * (ratio - 1 - (new - before))
    assert loss.item() == pytest.approx(slow, rel=1e-4)
    assert metrics["ratio_clipped"].item() == pytest.approx(outside, abs=1e-6)
    assert metrics["approx_kl"].item() == pytest.approx(kl, rel=1e-4)


@pytest.mark.parametrize("clip", [0.2, math.inf])
def test_the_first_step_of_ppo_is_the_policy_gradients(clip):
    _, _, advantages, weights = some()
    logits = th.randn(7, 3, 4, requires_grad=True)
    actions = th.randint(4, (7, 3, 1))
    log_prob = Categorical(logits).log_prob(actions)
    loss, _ = ppo_policy_loss(log_prob, log_prob, advantages, weights, clip)
    of_ppo = th.autograd.grad(loss, logits)[0]
    plain = -(weights * advantages * Categorical(logits).log_prob(actions)).sum()
    th.testing.assert_close(of_ppo, th.autograd.grad(plain, logits)[0])


def test_an_action_gets_no_gradient_beyond_the_bound_that_its_advantage_pushes_it_over():
    log_prob = th.tensor([0.5, 0.5, -0.5, -0.5], requires_grad=True)
    advantages, weights = th.tensor([1.0, -1.0, 1.0, -1.0]), th.full((4,), 0.25)
    loss, _ = ppo_policy_loss(log_prob, th.zeros(4), advantages, weights, 0.2)
    assert (th.autograd.grad(loss, log_prob)[0] != 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("huber", [None, 0.5])
@pytest.mark.parametrize("clip", [None, 0.3])
def test_the_values_loss_takes_the_larger_error_of_every_value(clip, huber):
    values, targets, old, weights = some(1)

    def of(error):
        return error**2 / 2 if huber is None or abs(error) <= huber else huber * (abs(error) - huber / 2)

    slow = 0.0
    for v, g, before, w in zip(*(x.flatten().tolist() for x in (values, targets, old, weights)), strict=True):
        near = v if clip is None else before + min(max(v - before, -clip), clip)
        slow += w * max(of(g - v), of(g - near))
    assert value_loss(values, targets, weights, old, clip, huber).item() == pytest.approx(slow, rel=1e-4)


def test_no_gradient_reaches_targets_advantages_or_the_old_policy():
    tensors = [x.requires_grad_() for x in some()[:3]]
    weights = th.full((7, 3), 1 / 21)
    loss = ppo_policy_loss(*tensors, weights, 0.2)[0]
    assert [g is not None for g in th.autograd.grad(loss, tensors, allow_unused=True)] == [True, False, False]
    values, targets, old = tensors
    loss = value_loss(values, targets, weights, old, 0.1, 1.0)
    found = th.autograd.grad(loss, tensors, allow_unused=True)
    assert [g is not None for g in found] == [True, False, False]


def test_the_counterfactual_baseline_is_the_mean_over_what_one_agent_might_have_done():
    th.manual_seed(0)
    q, p = th.randn(5, 2, 3), th.randn(5, 2, 3).softmax(dim=-1)
    actions = th.randint(3, (5, 2, 1))
    found = counterfactual_advantages(q, p, actions)
    for t in range(5):
        for i in range(2):
            baseline = sum((p[t, i, a] * q[t, i, a]).item() for a in range(3))
            assert found[t, i].item() == pytest.approx(q[t, i, actions[t, i, 0]].item() - baseline, abs=1e-5)
