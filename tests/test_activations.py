"""The faster activations against PyTorch's."""

import pytest
import torch as th
from torch.nn import functional

from modules.activations import BLOCK, FEW, Tanh, elu


def test_it_is_the_hyperbolic_tangent_in_value_and_gradient():
    x = th.cat([th.linspace(-30, 30, 1001), th.tensor([0.0, 1e-6, -1e-6])]).requires_grad_()
    fast, plain = Tanh()(x), x.tanh()
    th.testing.assert_close(fast, plain, rtol=0, atol=3e-7)
    grad = th.randn_like(x)
    th.testing.assert_close(*(th.autograd.grad(form, x, grad)[0] for form in (fast, plain)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(FEW // 16, 16), (7, BLOCK // 64, 32), (FEW + 1,), (5,), (4, 0, 3)])
@pytest.mark.parametrize("inplace", [True, False])
def test_elu_is_pytorchs_in_value_and_gradient(shape, inplace):
    x = 10 * th.randn(shape)
    x.flatten()[:3] = th.tensor([0.0, 1e-6, -1e-6])[: x.numel()]
    leaf = x.clone().requires_grad_()
    # Not on a leaf, and on every second row where nothing has to be written into it.
    read = (leaf * 1) if inplace or len(shape) == 1 else (leaf.repeat_interleave(2, dim=0) * 1)[::2]
    fast, plain = elu(read, inplace), functional.elu(leaf)
    assert (fast is read) == inplace
    th.testing.assert_close(fast, plain, rtol=0, atol=2e-7)
    grad = th.randn(shape)
    th.testing.assert_close(*(th.autograd.grad(form, leaf, grad)[0] for form in (fast, plain)), rtol=0, atol=2e-6)
    with th.no_grad():
        assert th.equal(elu(x.clone(), inplace), fast)


def test_elu_of_very_large_numbers_and_of_what_is_not_one():
    x = th.tensor([1e30, -1e30, th.inf, -th.inf, th.nan]).repeat(FEW)
    th.testing.assert_close(elu(x.view(-1, 5)), functional.elu(x).view(-1, 5), equal_nan=True)
