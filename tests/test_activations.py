"""The faster hyperbolic tangent against PyTorch's."""

import torch as th

from modules.activations import Tanh


def test_it_is_the_hyperbolic_tangent_in_value_and_gradient():
    x = th.cat([th.linspace(-30, 30, 1001), th.tensor([0.0, 1e-6, -1e-6])]).requires_grad_()
    fast, plain = Tanh()(x), x.tanh()
    th.testing.assert_close(fast, plain, rtol=0, atol=3e-7)
    grad = th.randn_like(x)
    th.testing.assert_close(*(th.autograd.grad(form, x, grad)[0] for form in (fast, plain)), rtol=0, atol=1e-5)
