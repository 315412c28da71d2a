"""Densities over actions against `torch.distributions` and against counting; heads of every action space."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch as th
from torch import distributions

from modules.actors.densities import Categorical, Categoricals, Gaussian, by_inverse_cdf
from modules.actors.heads import GaussianHead, make_head

SIZES = (3, 2, 4)


def masks(*shape, seed=0):
    available = th.rand(*shape, generator=th.Generator().manual_seed(seed)) < 0.5
    available[..., 1] |= ~available.any(dim=-1)
    return available


def categorical(seed=0):
    th.manual_seed(seed)
    logits, available = th.randn(6, 3, 5, requires_grad=True), masks(6, 3, 5)
    plain = distributions.Categorical(logits=logits.masked_fill(~available, -th.inf))
    return Categorical(logits, available), plain, logits


def test_a_categorical_is_torchs_over_the_available_actions():
    ours, plain, logits = categorical()
    actions = plain.sample()
    th.testing.assert_close(ours.log_prob(actions[..., None]), plain.log_prob(actions))
    p = plain.probs
    slow = -(p * th.where(p > 0, p, 1.0).log()).sum(dim=-1)
    th.testing.assert_close(ours.entropy(), slow)
    th.testing.assert_close(ours.probabilities(), p.detach())
    gradients = [th.autograd.grad(e.sum(), logits, retain_graph=True)[0] for e in (ours.entropy(), slow)]
    th.testing.assert_close(*gradients)
    assert th.equal(ours.mode()[..., 0], p.argmax(dim=-1))


def test_an_only_action_has_log_probability_zero_and_no_gradient():
    logits = (10 * th.randn(4, 5)).requires_grad_()
    available = th.eye(5, dtype=th.bool)[:4]
    density = Categorical(logits, available)
    log_prob, entropy = density.log_prob(th.arange(4)[:, None]), density.entropy()
    assert th.equal(log_prob, th.zeros(4)) and (entropy == 0).all()
    assert not th.autograd.grad((log_prob + entropy).sum(), logits)[0].any()
    assert th.equal(density.sample()[:, 0], th.arange(4))


def test_rows_without_any_available_action_give_numbers():
    density = Categorical(th.randn(2, 5), th.zeros(2, 5, dtype=th.bool))
    assert density.entropy().isfinite().all() and density.log_prob(th.zeros(2, 1, dtype=th.long)).isfinite().all()


@pytest.mark.parametrize("how", ["sample", "drawn"])
def test_actions_are_drawn_as_often_as_they_are_likely(how):
    th.manual_seed(0)
    n, logits = 40_000, th.tensor([0.3, -1.0, 2.0, 0.5])
    density = Categorical(logits.expand(n, 4), th.tensor([True, True, True, False]).expand(n, 4))
    actions = density.sample() if how == "sample" else density.drawn(th.rand(n, 1))
    shares = th.bincount(actions[:, 0], minlength=4) / n
    assert (shares - density.probabilities()[0]).abs().max() < 0.01 and shares[3] == 0


def test_the_inverse_cdf_returns_nothing_impossible_at_its_ends():
    p = th.tensor([[0.0, 0.4, 0.0, 0.6, 0.0]])
    almost_one = np.nextafter(1.0, 0.0)
    uniform = th.tensor([0.0, 0.39999, 0.40001, almost_one], dtype=th.float64)
    assert by_inverse_cdf(p.expand(4, 5), uniform).tolist() == [1, 1, 3, 3]
    assert by_inverse_cdf(0.999 * p, uniform[3:]).tolist() == [3]


def test_several_choices_are_the_product_of_torchs():
    th.manual_seed(0)
    logits, available = th.randn(4, 2, sum(SIZES)), th.cat([masks(4, 2, k, seed=k) for k in SIZES], dim=-1)
    ours = Categoricals(logits, available, SIZES)
    plain = [
        distributions.Categorical(logits=part.masked_fill(~mask, -1e10))
        for part, mask in zip(logits.split(SIZES, -1), available.split(SIZES, -1), strict=True)
    ]
    actions = ours.sample()
    assert actions.shape == (4, 2, 3)
    chosen = zip(available.split(SIZES, -1), actions.split(1, -1), strict=True)
    assert all(mask.gather(-1, action).all() for mask, action in chosen)
    slow = sum(part.log_prob(actions[..., k]) for k, part in enumerate(plain))
    th.testing.assert_close(ours.log_prob(actions), slow)
    th.testing.assert_close(ours.entropy(), sum(part.entropy() for part in plain), atol=1e-5, rtol=1e-5)
    draws = th.rand(4, 2, 3)
    apart = th.cat([part.drawn(draws[..., k : k + 1]) for k, part in enumerate(ours.parts)], dim=-1)
    assert th.equal(ours.drawn(draws), apart)


def test_a_gaussian_is_torchs_and_numbers_that_do_not_exist_count_nowhere():
    th.manual_seed(0)
    mean, log_std, exists = th.randn(5, 2, 3), 0.3 * th.randn(3), masks(5, 2, 3)
    ours, plain = Gaussian(mean, log_std, exists), distributions.Normal(mean, log_std.exp())
    draws = th.randn(5, 2, 3)
    actions = ours.drawn(draws)
    th.testing.assert_close(actions, (mean + log_std.exp() * draws) * exists)
    th.testing.assert_close(ours.log_prob(actions), (plain.log_prob(actions) * exists).sum(dim=-1))
    th.testing.assert_close(ours.entropy(), (plain.entropy() * exists).sum(dim=-1))
    assert th.equal(ours.mode(), mean * exists)
    gone = Gaussian(mean.requires_grad_(), log_std, th.zeros(5, 2, 3, dtype=th.bool))
    assert not gone.log_prob(actions).any() and not th.autograd.grad(gone.log_prob(actions).sum(), mean)[0].any()


@dataclass(frozen=True)
class Space:
    kind: str
    low: np.ndarray = None
    high: np.ndarray = None
    sizes: tuple = ()


BOX = Space("continuous", low=np.array([[-2.0, 0.0], [-1.0, -np.inf]]), high=np.array([[2.0, 4.0], [1.0, np.inf]]))


@pytest.mark.parametrize(
    "space, width, parts",
    [(Space("discrete"), 5, 1), (Space("multidiscrete", sizes=SIZES), 9, 3), (BOX, 2, 2)],
    ids=["discrete", "multidiscrete", "continuous"],
)
def test_every_action_space_has_a_head(space, width, parts):
    th.manual_seed(0)
    density = make_head(space, 6, width)(th.randn(4, 2, 6), th.ones(4, 2, width, dtype=th.bool))
    actions = density.sample()
    assert actions.shape == (4, 2, parts) and density.log_prob(actions).shape == density.entropy().shape == (4, 2)
    assert density.probabilities().shape == (4, 2, width)
    if space.kind != "continuous":  # at the start all actions are about as likely
        most = math.log(5) if space.kind == "discrete" else sum(map(math.log, SIZES))
        assert (most - density.entropy()).abs().max() < 0.01


@pytest.mark.parametrize("spread", ["fixed", "state"])
def test_numbers_start_in_the_middle_of_their_range_with_the_spread_asked_for(spread):
    th.manual_seed(0)
    head = GaussianHead(6, th.as_tensor(BOX.low).float(), th.as_tensor(BOX.high).float(), spread, initial_std=0.5)
    density = head(th.randn(7, 2, 6))
    half = th.tensor([[2.0, 2.0], [1.0, 1.0]])
    assert ((density.mean - th.tensor([[0.0, 2.0], [0.0, 0.0]])).abs() < 0.05 * half).all()
    th.testing.assert_close(density.log_std.exp(), (0.5 * half).expand(7, 2, 2), rtol=0.05, atol=0.0)
    varies = density.log_std.std(dim=0).max() > 0
    assert varies == (spread == "state")
