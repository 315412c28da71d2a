"""Attention over agents, written out, against PyTorch's own layers; and who sees whom."""

import pytest
import torch as th

from modules.worlds.attention import AgentTransformer, fused_layer, plain_layer

X, HEADS = 16, 4


@pytest.fixture
def net():
    th.manual_seed(0)
    return AgentTransformer(X, 2, HEADS, 32)


@pytest.mark.parametrize("agents", [1, 2, 5, 9, 10, 17])
@pytest.mark.parametrize("masked", [False, True])
def test_both_plain_forms_are_pytorchs_layer(net, agents, masked):
    x = th.randn(7, agents, X, requires_grad=True)
    present = th.rand(7, agents) > 0.3 if masked else None
    if masked:
        present[:, 0] = True
    plain, fused = (layer(net.layers[0], x, present) for layer in (plain_layer, fused_layer))
    th.testing.assert_close(plain, fused, atol=1e-5, rtol=1e-5)
    gradients = [th.autograd.grad(out.square().sum(), x)[0] for out in (plain, fused)]
    th.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("agents", [3, 12])
def test_agents_have_no_order_and_any_leading_axes(net, agents):
    x, order = th.randn(2, 3, agents, X), th.randperm(agents)
    out = net(x)
    assert out.shape == x.shape
    th.testing.assert_close(net(x[:, :, order]), out[:, :, order], atol=1e-5, rtol=1e-5)
    th.testing.assert_close(net(x.flatten(0, 1)), out.flatten(0, 1))


@pytest.mark.parametrize("agents", [3, 12])
def test_who_is_absent_is_not_seen_by_the_others(net, agents):
    x, present = th.randn(4, agents, X), th.ones(4, agents, dtype=th.bool)
    present[:, 1] = False
    other = x.clone()
    other[:, 1] = th.randn(4, X)
    others = [0, *range(2, agents)]
    th.testing.assert_close(net(x, present)[:, others], net(other, present)[:, others])
    assert not net(x)[:, 0].allclose(net(other)[:, 0])
    nobody = th.zeros(4, agents, dtype=th.bool)
    th.testing.assert_close(net(x, nobody), net(x))  # no row of NaN where all are gone


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="5 attention heads do not divide the width 16"):
        AgentTransformer(X, 1, 5, 32)
