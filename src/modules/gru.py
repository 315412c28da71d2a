"""A GRU unrolled over sequences of different lengths, with its gradient written out.

The recurrence is the one part of an update that has to run step by step, so each step does as little as possible: the
inputs are projected for all steps at once, and the backward pass computes in one go what does not depend on the step
after. Weights lie in a `torch.nn.GRU`, which is also what the result is tested against.

Where every agent has parameters of its own, all tensors have a first axis of N agents: see `AgentsGRU`.

Letters: M rows at a step (episodes · agents), H hidden size, R rows in all.
"""

from collections.abc import Sequence
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modules.linear import add_product_, product, stacked, weight_gradient
from modules.precision import casts, float32


class _Unroll(th.autograd.Function):
    """``h' = (1 - z) n + z h`` with ``r, z = σ(W x + b + W' h + b')`` and ``n = tanh(W x + b + r (W' h + b'))``.

    Forward it computes ``(1 + h) / 2``. Since ``tanh u = 2 σ(2u) - 1``, the recurrence then is the same with
    ``n = σ(2 (W x + b) + r · 2 (W' h + b'))``: PyTorch's tanh takes ten times as long as its logistic function.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, start: Tensor, w_x: Tensor, b_x: Tensor, w_h: Tensor, b_h: Tensor, sizes: Sequence[int]
    ) -> Tensor:
        H = start.shape[-1]
        to_n = th.ones(3 * H, 1, dtype=x.dtype, device=x.device)
        to_n[2 * H :] = 2.0
        w_g, b_g = 2 * to_n * w_h, to_n[:, 0] * (b_h - w_h.sum(dim=-1))
        (w_r_z, w_n), (b_r_z, b_n) = w_g.split([2 * H, H], dim=-2), b_g.split([2 * H, H], dim=-1)
        b_x = (to_n[:, 0] * b_x).index_add(-1, th.arange(2 * H, device=x.device), b_r_z)
        gates = product(x, to_n * w_x, b_x)  # becomes r, z, n step by step
        halves, from_h = (x.new_empty(*x.shape[:-1], H) for _ in range(2))  # (1 + h') / 2, and 2 (W_n' h + b_n')
        from_h.copy_(b_n.unsqueeze(-2))
        g = start.add(1).mul_(0.5)
        r_zs, ns = (part.split(sizes, -2) for part in gates.split([2 * H, H], dim=-1))
        steps = zip(sizes, r_zs, ns, from_h.split(sizes, -2), halves.split(sizes, -2), strict=True)
        for size, r_z, n, for_n, out in steps:
            g = g[..., :size, :]
            r, z = add_product_(r_z, g, w_r_z).sigmoid_().chunk(2, dim=-1)
            g = th.lerp(n.addcmul_(r, add_product_(for_n, g, w_n)).sigmoid_(), g, z, out=out)
        h = halves.mul_(2).sub_(1)
        ctx.save_for_backward(x, start, w_x, w_h, gates, from_h, h)
        ctx.sizes = sizes
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, start, w_x, w_h, gates, from_h, h = ctx.saved_tensors
        before = _before(start, h, ctx.sizes)
        r, z, n = gates.chunk(3, dim=-1)
        n = n.mul(2).sub_(1)
        # How h' moves with the arguments of r and z, and with W_n' h + b_n'; by_n is for the argument of n. Times the
        # gradient at h', which only the loop knows, they become the gradients at ``W' h + b'``.
        aten = th.ops.aten
        by_n = aten.tanh_backward(1 - z, n)
        at = gates.new_empty(*n.shape[:-1], 3, n.shape[-1])
        aten.sigmoid_backward(from_h.mul(by_n).mul_(0.5), r, grad_input=at[..., 0, :])
        aten.sigmoid_backward(before - n, z, grad_input=at[..., 1, :])
        th.mul(by_n, r, out=at[..., 2, :])

        at_h = th.empty_like(h)  # the gradient at every h', from its own step and from those after it
        carried = h[..., :0, :]
        turned = w_h.mT
        steps = [grad.split(ctx.sizes, -2), at_h.split(ctx.sizes, -2), at.split(ctx.sizes, -3), z.split(ctx.sizes, -2)]
        for own, dh, at_step, z_step in reversed(list(zip(*steps, strict=True))):
            going_on = carried.shape[-2]
            th.add(own[..., :going_on, :], carried, out=dh[..., :going_on, :])
            if going_on < own.shape[-2]:
                dh[..., going_on:, :] = own[..., going_on:, :]
            carried = product(at_step.mul_(dh.unsqueeze(-2)).flatten(-2), turned).addcmul_(dh, z_step)
        at_start = grad.new_zeros(start.shape)
        at_start[..., : carried.shape[-2], :] = carried
        flat = at.flatten(-2)
        at_w_h, at_b_h = weight_gradient(flat, before), flat.sum(dim=-2)
        th.mul(at_h, by_n, out=at[..., 2, :])  # now the gradients at ``W x + b``
        at_x = product(flat, w_x.mT) if ctx.needs_input_grad[0] else None
        return at_x, at_start, weight_gradient(flat, x), flat.sum(dim=-2), at_w_h, at_b_h, None


def _before(start: Tensor, h: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the hidden state that every row's step began with, (R, H)."""
    steps = [start, *h.split(sizes, -2)[:-1]]
    return th.cat([step[..., :size, :] for step, size in zip(steps, sizes, strict=True)], dim=-2)


class AgentsGRU(nn.Module):
    """The parameters of one `torch.nn.GRU` for each of N agents, with their names there and a first axis of agents."""

    def __init__(self, input_size: int, hidden_size: int, n_agents: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        for name, parameter in stacked(lambda: nn.GRU(input_size, hidden_size), n_agents).items():
            self.register_parameter(name, parameter)


def unroll(gru: nn.GRU | AgentsGRU, x: Tensor, sizes: Sequence[int], start: Tensor | None = None) -> Tensor:
    """Unroll ``x (R, X) -> h (R, H)`` over rows in the order of a `PackedSequence`.

    Args:
        gru: one layer, one direction, with biases. With an `AgentsGRU` x is (N, R, X), the start (N, sizes[0], H), and
            the result (N, R, H).
        x: the rows of step 0, then those of step 1, and so on.
        sizes: how many rows each step has; never more than the step before it. The first ones go on.
        start: (sizes[0], H), or None for zeros.

    It is float32 with autocast too: a history adds up what its steps are rounded by.
    """
    if casts():
        with float32(x.device):
            return unroll(gru, x.float(), sizes, None if start is None else start.float())
    if start is None:
        start = x.new_zeros(*x.shape[:-2], sizes[0], gru.hidden_size)
    if x.is_cuda and x.dim() == 2 and min(sizes) == max(sizes):  # cuDNN's kernels
        h, _ = gru(x.view(len(sizes), sizes[0], -1), start.unsqueeze(0))
        return h.view(-1, gru.hidden_size)
    w_x, w_h, b_x, b_h = gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0
    if len(sizes) == 1 and x.dim() == 2:  # acting
        return th.gru_cell(x, start, w_x, w_h, b_x, b_h)
    return _Unroll.apply(x, start, w_x, b_x, w_h, b_h, sizes)
