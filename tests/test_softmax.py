"""Softmax over a short axis is PyTorch's, values and gradients, however long the axis and large the numbers."""

import pytest
import torch as th

from modules.worlds import softmax as ours

FORMS = {"softmax": (ours.softmax, th.softmax), "log_softmax": (ours.log_softmax, th.log_softmax)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 8, 15, 16, 40])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_it_is_pytorchs(form, size, scale):
    short, long = FORMS[form]
    th.manual_seed(size)
    x = scale * th.randn(5, 3, size, dtype=th.float64)
    given, expected = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, other = short(given), long(expected, -1)
    th.testing.assert_close(one, other)
    assert (type(one.grad_fn) is not type(other.grad_fn)) == (size < ours.SHORT)
    weights = th.randn_like(x)
    for out in (one, other):
        (weights * out).sum().backward()
    th.testing.assert_close(given.grad, expected.grad)


def test_what_is_masked_has_no_share_and_no_gradient():
    x = th.tensor([[1.0, -th.inf, 2.0, -th.inf]], requires_grad=True)
    p = ours.softmax(x)
    p.square().sum().backward()
    assert p[0, [1, 3]].eq(0).all() and p.sum().item() == pytest.approx(1) and x.grad[0, [1, 3]].eq(0).all()
    assert x.grad.isfinite().all() and x.grad[0, 0] != 0
