"""Two-hot codes, symlog and the plain heads against slow forms."""

import math

import pytest
import torch as th
from torch.nn import functional

from modules.worlds import heads


def test_symlog_and_symexp_are_each_others_inverse():
    x = th.tensor([-1e6, -3.0, -1e-3, 0.0, 1e-3, 2.5, 1e6], dtype=th.float64)
    th.testing.assert_close(heads.symexp(heads.symlog(x)), x)
    th.testing.assert_close(heads.symlog(x), th.tensor([math.copysign(math.log1p(abs(v)), v) for v in x]).double())


def slow_code(bins, target):
    """The weights of the two bins about a number, by looking at every bin."""
    code = [0.0] * len(bins)
    for k, b in enumerate(bins):
        if target == b:
            code[k] = 1.0
            return code
    k = max(k for k, b in enumerate(bins) if b < target)
    code[k + 1] = (target - bins[k]) / (bins[k + 1] - bins[k])
    code[k] = 1 - code[k + 1]
    return code


def test_bins_lie_evenly_in_symlog_space_and_mirror_each_other():
    head = heads.TwoHot(255, 20.0)
    th.testing.assert_close(
        heads.symlog(head.bins.double()), th.linspace(-20, 20, 255, dtype=th.float64), atol=1e-5, rtol=1e-5
    )
    assert head.bins[127] == 0 and head.bins.flip(0).neg().equal(head.bins)
    assert head.limit == pytest.approx(math.expm1(20), rel=1e-6)  # 4.85e8


def test_the_code_is_two_neighbours_that_mean_the_number():
    head = heads.TwoHot(11, 3.0)
    targets = th.cat([th.linspace(-18, 18, 61), head.bins])
    code = head.encode(targets)
    slow = th.tensor([slow_code(head.bins.tolist(), t.clamp(-head.limit, head.limit).item()) for t in targets])
    th.testing.assert_close(code, slow, atol=1e-5, rtol=0)


@pytest.mark.parametrize("bins, largest", [(255, 20.0), (41, 5.0)])
def test_the_round_trip_is_exact(bins, largest):
    head = heads.TwoHot(bins, largest)
    numbers = th.tensor([0.0, 1.0, -1.0, 0.25, 1e-4, 13.7, -100.0])
    th.testing.assert_close(head.mean(head.encode(numbers).log()), numbers, atol=1e-6, rtol=1e-5)


def test_beyond_the_range_a_number_counts_as_the_outermost_bin():
    head = heads.TwoHot(11, 1.0)
    far, edge = th.tensor([50.0, -50.0]), th.tensor([head.limit, -head.limit])
    assert head.encode(far).equal(head.encode(edge))


def test_a_flat_distribution_means_exactly_zero():
    assert heads.TwoHot(255, 20.0).mean(th.zeros(3, 255)).eq(0).all()


def test_the_two_hot_loss_is_the_cross_entropy_with_the_code():
    head, out = heads.TwoHot(11, 3.0), th.randn(6, 11)
    targets = th.tensor([-30.0, -2.0, 0.0, 0.1, 7.0, 30.0])
    th.testing.assert_close(
        head.loss(out, targets), functional.cross_entropy(out, head.encode(targets), reduction="none")
    )


@pytest.mark.parametrize("bins", [1, 2, 10])
def test_zero_must_be_a_bin(bins):
    with pytest.raises(ValueError, match="odd number of bins"):
        heads.TwoHot(bins, 5.0)


def test_the_plain_heads_are_half_the_square_and_smooth_l1():
    out, target = th.randn(7, 1) * 3, th.randn(7) * 3
    squared, smooth = heads.number_head("squared", 3, 1.0), heads.number_head("smooth_l1", 3, 1.0)
    th.testing.assert_close(squared.loss(out, target), 0.5 * (out[:, 0] - target) ** 2)
    th.testing.assert_close(smooth.loss(out, target), functional.smooth_l1_loss(out[:, 0], target, reduction="none"))
    assert squared.mean(out).equal(out[:, 0])


def test_observations_may_be_compared_in_symlog_space():
    out, target = th.randn(4, 3), 10 * th.randn(4, 3)
    th.testing.assert_close(heads.distance(out, target, "symlog"), (out - heads.symlog(target)) ** 2)
    th.testing.assert_close(heads.distance(out, target, "squared"), (out - target) ** 2)
