"""Advantages of policy gradients against the sum over δ, one episode at a time, in plain Python."""

import pytest
import torch as th
from fixtures_mmsa import make_batch, slow_lambda_return, with_garbage

from learners.returns import explained_variance, gae, normalised

GAMMA = 0.9


def slow_gae(rewards, values, continues, t, lam):
    """Σ_k (γλ)^k Π c δ: of plain lists, `values` one longer than the others."""
    total, weight = 0.0, 1.0
    for k in range(t, len(rewards)):
        total += weight * (rewards[k] + GAMMA * continues[k] * values[k + 1] - values[k])
        weight *= GAMMA * lam * continues[k]
    return total


@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
@pytest.mark.parametrize("n_rewards", [1, 3])
def test_gae_is_the_discounted_sum_of_errors_of_every_episode(lam, n_rewards):
    batch = make_batch()
    mask = batch["filled"][:, 1:].float()
    continues = 1 - batch["terminated"][:, :-1].float()
    th.manual_seed(1)
    rewards, values = th.randn(*mask.shape[:2], n_rewards), th.randn(mask.shape[0], mask.shape[1] + 1, 3)
    advantages = gae(rewards, values, continues, GAMMA, lam, mask)
    assert advantages.shape == (*mask.shape[:2], 3)
    for b, length in enumerate(mask.sum(dim=(1, 2)).int().tolist()):
        for x in range(3):
            r = rewards[b, :length, x % n_rewards].tolist()
            v, c = values[b, : length + 1, x].tolist(), continues[b, :length, 0].tolist()
            slow = [slow_gae(r, v, c, t, lam) for t in range(length)]
            th.testing.assert_close(advantages[b, :length, x], th.tensor(slow), rtol=1e-4, atol=1e-5)
            ended = bool(batch["terminated"][b].any())
            returns = [slow_lambda_return(r, v[1:], ended, t, GAMMA, lam) for t in range(length)]
            of_critic = (advantages + values[:, :-1])[b, :length, x]
            th.testing.assert_close(of_critic, th.tensor(returns), rtol=1e-4, atol=1e-5)


def test_a_models_continuation_may_lie_between_and_be_each_agents_own():
    th.manual_seed(0)
    rewards, values, continues = th.randn(2, 5, 3), th.randn(2, 6, 3), th.rand(2, 5, 3)
    advantages = gae(rewards, values, continues, GAMMA, 0.8)
    for b in range(2):
        for i in range(3):
            columns = [x[b, :, i].tolist() for x in (rewards, values, continues)]
            slow = th.tensor([slow_gae(*columns, t, 0.8) for t in range(5)])
            th.testing.assert_close(advantages[b, :, i], slow, rtol=1e-4, atol=1e-5)


def test_what_lies_behind_an_episodes_end_reaches_no_advantage():
    batch, dirty = make_batch(), with_garbage(make_batch())
    mask = batch["filled"][:, 1:].float()
    values = th.randn(batch.batch_size, batch.max_seq_length, 2)
    garbled = th.where(batch["filled"], values, 1e3)

    def advantages(episodes, of):
        continues = 1 - episodes["terminated"][:, :-1].float()
        return gae(episodes["reward"][:, :-1], of, continues, GAMMA, 0.95, mask) * mask

    assert th.equal(advantages(batch, values), advantages(dirty, garbled))


def test_advantages_are_normalised_over_what_counts():
    th.manual_seed(0)
    advantages, counted = 5 + 3 * th.randn(20, 4), th.rand(20, 4) < 0.6
    weights = counted / counted.sum()
    result = normalised(advantages, weights)
    kept = advantages[counted]
    slow = (kept - kept.mean()) / (kept.std(correction=0) + 1e-5)
    th.testing.assert_close(result[counted], slow)
    assert (result[~counted] == 0).all()
    assert th.equal(normalised(th.full((3, 2), 2.0), th.full((3, 2), 1 / 6)), th.zeros(3, 2))


def test_explained_variance_is_one_for_who_knows_and_zero_for_the_mean():
    returns = th.randn(30)
    weights = th.full((30,), 1 / 30)
    assert explained_variance(returns, returns, weights) == 1
    assert explained_variance(returns.mean().expand(30), returns, weights).abs() < 1e-5
    weights = th.tensor([0.5, 0.5, 0.0])
    assert explained_variance(th.tensor([1.0, 2.0, 9.0]), th.tensor([1.0, 2.0, 0.0]), weights) == 1
