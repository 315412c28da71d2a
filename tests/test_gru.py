"""The GRU with its own gradient against PyTorch's, over sequences of equal and of different lengths."""

import pytest
import torch as th
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from modules.gru import AgentsGRU, unroll

X, H = 6, 8


def plain(gru, x, sizes, start):
    """Unroll by PyTorch's own GRU over a packed sequence."""
    h, _ = gru(PackedSequence(x, th.tensor(sizes)), None if start is None else start[None])
    return h.data


@pytest.mark.parametrize("sizes", [[4], [4, 4, 4], [5, 3, 3, 1], [1] * 7, [300, 300, 200]], ids=str)
@pytest.mark.parametrize("started", [True, False])
def test_it_is_pytorchs_gru_in_value_and_gradient(sizes, started):
    th.manual_seed(0)
    gru = nn.GRU(X, H)
    x = th.randn(sum(sizes), X, requires_grad=True)
    start = th.randn(sizes[0], H).tanh().requires_grad_() if started else None
    inputs = [x, *gru.parameters()] + ([start] if started else [])
    fast, slow = unroll(gru, x, sizes, start), plain(gru, x, sizes, start)
    th.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    grad = th.randn_like(slow)
    grads = [th.autograd.grad(form, inputs, grad) for form in (fast, slow)]
    th.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)
    with th.no_grad():
        th.testing.assert_close(unroll(gru, x, sizes, start), fast)


def test_nothing_that_it_is_given_is_changed():
    gru, x, start = nn.GRU(X, H), th.randn(6, X), th.randn(3, H)
    before = [t.clone() for t in (x, start, *gru.parameters())]
    unroll(gru, x.requires_grad_(), [3, 3], start).sum().backward()
    assert all(th.equal(a, b) for a, b in zip(before, (x, start, *gru.parameters()), strict=True))


@pytest.mark.parametrize("sizes", [[4], [4, 4, 4], [5, 3, 3, 1], [1] * 7], ids=str)
@pytest.mark.parametrize("started", [True, False])
def test_agents_with_parameters_of_their_own_are_as_many_grus(sizes, started):
    th.manual_seed(0)
    agents = AgentsGRU(X, H, 3)
    x = th.randn(3, sum(sizes), X, requires_grad=True)
    start = th.randn(3, sizes[0], H).tanh().requires_grad_() if started else None
    inputs = [x, *agents.parameters()] + ([start] if started else [])

    def apart():
        for i in range(3):
            gru = nn.GRU(X, H)
            own = {name: parameter[i] for name, parameter in agents.named_parameters()}
            yield th.func.functional_call(gru, own, (PackedSequence(x[i], th.tensor(sizes)),
                                                     None if start is None else start[i][None]))[0].data  # fmt: skip

    fast, slow = unroll(agents, x, sizes, start), th.stack(list(apart()))
    th.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    grad = th.randn_like(slow)
    grads = [th.autograd.grad(form, inputs, grad) for form in (fast, slow)]
    th.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)
    with th.no_grad():
        th.testing.assert_close(unroll(agents, x, sizes, start), fast)
