"""Categorical latents against slow forms and `torch.distributions`."""

import math

import pytest
import torch as th
from torch.distributions import Categorical, kl_divergence

from modules.worlds import latents

B, G, C = 5, 3, 4


@pytest.fixture(autouse=True)
def fixed_draws():
    th.manual_seed(0)


def some_logits(scale=3.0):
    return (scale * th.randn(B, G * C)).requires_grad_()


def reference(log_p):
    return Categorical(probs=log_p.exp())


@pytest.mark.parametrize("unimix", [0.0, 0.01, 0.5])
def test_a_share_of_the_uniform_distribution_is_mixed_in(unimix):
    logits = some_logits()
    p = latents.probabilities(logits, C, unimix)
    th.testing.assert_close(latents.log_probabilities(logits, C, unimix).exp(), p)
    th.testing.assert_close(p, (1 - unimix) * logits.view(B, G, C).softmax(-1) + unimix / C)


def test_no_class_is_impossible():
    p = latents.log_probabilities(th.tensor([[1e4, 0.0, 0.0, 0.0]]), 4, 0.01).exp()
    th.testing.assert_close(p, th.tensor([[[0.9925, 0.0025, 0.0025, 0.0025]]]))


def test_what_is_drawn_has_the_frequencies_asked_for():
    p = th.tensor([[0.1, 0.2, 0.7]]).expand(20000, 1, 3)
    for onehots in (latents.draw(p), latents.draw(p, th.rand(20000, 1))):
        assert (onehots.sum(-1) == 1).all()
        th.testing.assert_close(onehots.mean(dim=0), p[0], atol=0.015, rtol=0)


def test_given_numbers_draw_by_the_inverse_of_the_cumulated_probabilities():
    p = th.tensor([0.25, 0.5, 0.25]).expand(6, 1, 3)
    numbers = th.tensor([0.0, 0.24, 0.26, 0.74, 0.76, 0.9999999]).view(6, 1)
    assert latents.draw(p, numbers).argmax(-1).squeeze().tolist() == [0, 0, 1, 1, 2, 2]


def test_straight_through_is_the_one_hot_with_the_gradient_of_the_probabilities():
    logits, aim = some_logits(), th.randn(B, G * C)
    p = latents.probabilities(logits, C)
    z = latents.straight_through(onehot := latents.draw(p), p)
    th.testing.assert_close(z, onehot.flatten(-2))
    (gradient,) = th.autograd.grad((z * aim).sum(), logits)
    slow = logits.detach().requires_grad_()
    (expected,) = th.autograd.grad((slow.view(B, G, C).softmax(-1).flatten(-2) * aim).sum(), slow)
    th.testing.assert_close(gradient, expected)


def test_kl_and_entropy_are_those_of_torch():
    q, p = (latents.log_probabilities(some_logits().double(), C, 0.01) for _ in range(2))
    th.testing.assert_close(latents.kl(q, p), kl_divergence(reference(q), reference(p)))
    th.testing.assert_close(latents.entropy(q), reference(q).entropy())


@pytest.mark.parametrize("over", ["sum", "mean"])
def test_the_balance_of_the_kl_puts_the_weights_where_it_says(over):
    q_logits, p_logits = some_logits(), some_logits()
    q, p = (latents.log_probabilities(x, C) for x in (q_logits, p_logits))
    loss, value = latents.balanced_kl(q, p, 0.8, 0.2, over=over), latents.latent_kl(q, p, over)
    slow = getattr(kl_divergence(reference(q), reference(p)), over)(dim=-1)
    th.testing.assert_close(value, slow)
    th.testing.assert_close(loss, slow)
    ours = th.autograd.grad(loss.sum(), (q_logits, p_logits), retain_graph=True)
    whole = th.autograd.grad(slow.sum(), (q_logits, p_logits))
    th.testing.assert_close(ours[0], 0.2 * whole[0])
    th.testing.assert_close(ours[1], 0.8 * whole[1])


def test_free_nats_cost_what_they_are_and_send_no_gradient():
    p_logits = th.zeros(2, C).requires_grad_()
    q = latents.log_probabilities(th.stack([th.zeros(C), th.tensor([50.0, 0, 0, 0])]), C)
    p = latents.log_probabilities(p_logits, C)
    loss, value = latents.balanced_kl(q, p, 0.8, 0.2, free_nats=1.0), latents.latent_kl(q, p, "sum")
    th.testing.assert_close(value, th.tensor([0.0, math.log(C)]))
    th.testing.assert_close(loss, th.tensor([1.0, math.log(C)]))
    (gradient,) = th.autograd.grad(loss.sum(), p_logits)
    assert gradient[0].eq(0).all() and gradient[1].ne(0).all()
