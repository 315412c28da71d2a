"""The losses of MMSA §4.4 as free functions, and which steps count in a learner's losses."""

import math

import pytest
import torch as th
from fixtures_mmsa import ONLINE, drifted, losses_of, make_batch, make_learner, padded, with_garbage
from torch.distributions import Independent, Normal, kl_divergence

from learners import losses
from modules.world_model import Gaussian

B, T, D = 4, 5, 6


@pytest.fixture(autouse=True)
def fixed_draws():
    th.manual_seed(0)


def gaussian(*shape):
    return Gaussian(th.randn(shape).requires_grad_(), (0.1 + 2 * th.rand(shape)).requires_grad_())


def reference(distribution):
    return Independent(Normal(distribution.mean, distribution.std), 1)


def half_weights():
    mask = th.zeros(B, T)
    mask[0], mask[1, :2], mask[3, :1] = 1, 1, 1
    return mask / mask.sum()


def slow_mean(values, weights):
    counted = [values[b, t] for b in range(B) for t in range(T) if weights[b, t] > 0]
    return sum(counted) / len(counted)


def test_a_weighted_sum_is_the_mean_over_the_steps_that_count():
    values, weights = th.randn(B, T), half_weights()
    th.testing.assert_close(losses.weighted_sum(values, weights), slow_mean(values, weights))


def test_a_weighted_sum_stretches_nothing():
    with pytest.raises(AssertionError):
        losses.weighted_sum(th.ones(B, T, 1), th.ones(B, T))


@pytest.mark.parametrize("shape", [(7,), (3, 7)])
def test_squared_error_is_averaged_within_a_step_and_then_over_steps(shape):
    x, y, weights = th.randn(B, T, *shape), th.randn(B, T, *shape), half_weights()
    slow = slow_mean(((x - y) ** 2).reshape(B, T, -1).mean(dim=-1), weights)
    th.testing.assert_close(losses.squared_error(x, y, weights), slow)


def test_kl_terms_are_those_of_torch_distributions():
    p, q = gaussian(B, T, D), gaussian(B, T, D)
    normal = Gaussian(th.zeros(B, T, D), th.ones(B, T, D))
    expected = kl_divergence(reference(p), reference(q))
    th.testing.assert_close(losses.gaussian_kl(p, q), expected)
    numbers = (*p, *q)
    weights = th.rand_like(expected)
    slow, fast = (th.autograd.grad((weights * kl).sum(), numbers) for kl in (expected, losses.gaussian_kl(p, q)))
    th.testing.assert_close(fast, slow)
    th.testing.assert_close(losses.kl_to_standard_normal(p), kl_divergence(reference(p), reference(normal)))


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_balancing_leaves_the_value_and_shares_out_the_gradient(alpha):
    q, p = gaussian(B, T, D), gaussian(B, T, D)
    plain = losses.gaussian_kl(q, p)
    balanced = losses.balanced_kl(q, p, alpha)
    th.testing.assert_close(balanced, plain)
    whole = th.autograd.grad(plain.sum(), [*q, *p])
    shared = th.autograd.grad(balanced.sum(), [*q, *p])
    shares = [alpha, alpha, 1 - alpha, 1 - alpha]
    th.testing.assert_close(shared, tuple(share * g for share, g in zip(shares, whole, strict=True)))


def test_without_balancing_both_sides_get_all_of_the_gradient():
    q, p = gaussian(B, T, D), gaussian(B, T, D)
    plain, unbalanced = losses.gaussian_kl(q, p), losses.balanced_kl(q, p, None)
    grads = [th.autograd.grad(value.sum(), [*q, *p]) for value in (plain, unbalanced)]
    th.testing.assert_close(*grads)
    assert all(grad.any() for grad in grads[1])


def test_kl_loss_is_prior_to_normal_plus_posterior_to_prior_per_dimension():
    q, p, weights = gaussian(B, T, D), gaussian(B, T, D), half_weights()
    loss, parts = losses.kl_loss(q, p, weights, alpha=0.3, normal_coef=0.5, reduction="mean")
    th.testing.assert_close(losses.kl_loss(q, p, weights, 0.3, 0.5, "sum")[0], D * loss)
    th.testing.assert_close(parts["kl_prior_normal"], slow_mean(losses.kl_to_standard_normal(p), weights))
    th.testing.assert_close(parts["kl_posterior_prior"], slow_mean(losses.gaussian_kl(q, p), weights))
    th.testing.assert_close(loss, (0.5 * parts["kl_prior_normal"] + parts["kl_posterior_prior"]) / D)
    shared = th.autograd.grad(parts["kl_posterior_prior"], q.mean, retain_graph=True)[0]
    plain = th.autograd.grad(slow_mean(losses.gaussian_kl(q, p), weights), q.mean)[0]
    th.testing.assert_close(shared, 0.3 * plain)


def test_reconstruction_losses_are_squared_errors_and_histories_stand_still():
    names = ("z_sa", "z_s", "phi")
    decoded, wanted = (dict(zip(names, th.randn(3, B, T, 7).requires_grad_().unbind(), strict=True)) for _ in range(2))
    h_decoded, h = th.randn(2, B, T, 3, 8).requires_grad_().unbind()
    weights = half_weights()
    parts = losses.reconstruction_losses(decoded, wanted, weights)
    assert list(parts) == ["rec_z_sa", "rec_z_s", "rec_phi"]
    for name in names:
        th.testing.assert_close(parts[f"rec_{name}"], losses.squared_error(decoded[name], wanted[name], weights))
    hidden = losses.history_loss(h_decoded, h, weights)
    th.testing.assert_close(hidden, losses.squared_error(h_decoded, h, weights))
    assert_only_the_first_is_trained(hidden, [h_decoded], [h])


@pytest.mark.parametrize("loss", [losses.sale_loss, losses.td_loss])
def test_predictions_chase_targets_that_stand_still(loss):
    prediction, target = th.randn(2, B, T, 7).requires_grad_().unbind()
    value = loss(prediction, target, half_weights())
    th.testing.assert_close(value, losses.squared_error(prediction, target, half_weights()))
    assert_only_the_first_is_trained(value, [prediction], [target])


def assert_only_the_first_is_trained(loss, trained, still):
    assert all(g.any() for g in th.autograd.grad(loss, trained, retain_graph=True))
    assert all(g is None for g in th.autograd.grad(loss, still, allow_unused=True))


def test_predicted_availability_is_a_cross_entropy_over_rows_agents_and_actions():
    logits, avail, weights = th.randn(4, 3, 2, 5), th.rand(4, 3, 2, 5) < 0.5, th.rand(4, 3)
    loss, right = losses.avail_loss(logits, avail, weights)
    slow_loss = slow_right = 0.0
    for b, t, i, a in th.cartesian_prod(*map(th.arange, logits.shape)).tolist():
        p = logits[b, t, i, a].sigmoid().item()
        told = p if avail[b, t, i, a] else 1 - p
        slow_loss -= weights[b, t].item() * math.log(told) / 10
        slow_right += weights[b, t].item() * (told > 0.5) / 10
    assert loss.item() == pytest.approx(slow_loss, rel=1e-4) and right.item() == pytest.approx(slow_right, rel=1e-4)


LEARNERS = {
    "iql": ("iql", {}),
    "vdn": ("vdn", {}),
    "qmix": ("qmix", {}),
    "qmix, the target's own choice": ("qmix", {"double_q": False}),
    "vdn, the target's own choice": ("vdn", {"double_q": False}),
    "iql, the target's own choice": ("iql", {"double_q": False}),
    "mmsa": ("mmsa", {}),
    "mmsa_paper": ("mmsa_paper", {}),
    "mmsa_td7": ("mmsa_td7", {}),
    "predicting": ("mmsa", {"rec_target": "next"}),
    "reading observations": ("mmsa_td7", {"sale_input": "obs"}),
    "all on observations": ("mmsa_paper", {"sale_input": "obs", "phi_input": "obs"}),
    "online": ("mmsa", ONLINE),
    "imagined histories": ("mmsa", {"imagined_history_coef": 1, "imagined_history_steps": 3}),
    "no world model": ("mmsa_paper", {"use_world_model": False}),
    "available actions": ("mmsa", {"avail_coef": 1}),
    "maser": ("maser", {}),
    "smmae": ("smmae", {}),
}
CHANGES = {
    "empty rows": lambda batch: padded(batch, rows=3),
    "an empty episode": lambda batch: padded(batch, episodes=1),
    "rubbish in the padding": with_garbage,
    "an episode of rubbish": lambda batch: with_garbage(padded(batch, rows=2, episodes=1)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", LEARNERS)
def test_padding_changes_no_loss(kind, change):
    name, settings = LEARNERS[kind]
    sample = {"wm_sample": False, "rollout_sample": False} if name.startswith("mmsa") else {}
    learner = drifted(make_learner(name, **settings, **sample))
    for module in learner.trained.values():
        module.train()
    clean = losses_of(learner, make_batch())
    assert losses_of(learner, CHANGES[change](make_batch())) == pytest.approx(clean, rel=1e-5, nan_ok=False)


@pytest.mark.parametrize("name", ["iql", "qmix", "mmsa_paper"])
def test_a_loss_is_a_mean_over_all_transitions_of_all_episodes(name):
    sample = {"wm_sample": False, "rollout_sample": False} if name.startswith("mmsa") else {}
    learner = drifted(make_learner(name, **sample))
    batch, lengths = make_batch(), make_batch()["filled"].sum(dim=(1, 2)) - 1
    alone = [losses_of(learner, batch[b : b + 1]) for b in range(batch.batch_size)]
    together = losses_of(learner, batch)
    for key in together.keys() - {"loss_rec"}:  # whose part for h also counts the last observations
        weighted = sum(loss[key] * length for loss, length in zip(alone, lengths.tolist(), strict=True))
        assert together[key] == pytest.approx(weighted / lengths.sum().item(), rel=1e-5)
