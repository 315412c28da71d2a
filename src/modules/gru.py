"""A GRU unrolled over sequences of different lengths, with its gradient written out.

The recurrence is the one part of an update that has to run step by step, so each step does as little as possible: the
inputs are projected for all steps at once, and the backward pass computes in one go what does not depend on the step
after. Weights lie in a `torch.nn.GRU`, which is also what the result is tested against.

Letters: M rows at a step (episodes · agents), H hidden size, R rows in all.
"""

from collections.abc import Sequence
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modules.activations import tanh_
from modules.linear import product


class _Unroll(th.autograd.Function):
    """``h' = (1 - z) n + z h`` with ``r, z = σ(W x + b + W' h + b')`` and ``n = tanh(W x + b + r (W' h + b'))``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, start: Tensor, w_x: Tensor, b_x: Tensor, w_h: Tensor, b_h: Tensor, sizes: Sequence[int]
    ) -> Tensor:
        steps, H = _steps(sizes), start.shape[-1]
        gates = product(x, w_x, b_x)  # becomes r, z, n step by step
        out, from_h = x.new_empty(x.shape[0], H), x.new_empty(x.shape[0], H)  # from_h: W_n' h + b_n'
        h = start
        for rows in steps:
            h = h[: rows.stop - rows.start]
            projected = product(h, w_h, b_h)
            r_z = gates[rows, : 2 * H].add_(projected[:, : 2 * H]).sigmoid_()
            from_h[rows] = projected[:, 2 * H :]
            n = tanh_(gates[rows, 2 * H :].addcmul_(r_z[:, :H], projected[:, 2 * H :]))
            h = th.lerp(n, h, r_z[:, H:], out=out[rows])
        ctx.save_for_backward(x, start, w_x, w_h, gates, from_h, out)
        ctx.steps = steps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, start, w_x, w_h, gates, from_h, out = ctx.saved_tensors
        before = _before(start, out, ctx.steps)
        r, z, n = gates.chunk(3, dim=-1)
        # How h' moves with the arguments of r and z, and with W_n' h + b_n'; by_n is for the argument of n. Times the
        # gradient at h', which only the loop knows, they become the gradients at ``W' h + b'``.
        by_n = (1 - z).mul_(n.square().neg_().add_(1))
        at = gates.new_empty(gates.shape[0], 3, n.shape[-1])
        th.mul(by_n, r, out=at[:, 2])
        th.mul(at[:, 2], from_h, out=at[:, 0]).mul_(1 - r)
        th.sub(before, n, out=at[:, 1]).mul_(z).mul_(1 - z)

        at_h = th.empty_like(out)  # the gradient at every h', from its own step and from those after it
        carried = grad.new_zeros(0, n.shape[-1])
        for rows in reversed(ctx.steps):
            dh = at_h[rows].copy_(grad[rows])
            dh[: carried.shape[0]] += carried
            carried = product(at[rows].mul_(dh.unsqueeze(1)).flatten(1), w_h.t()).addcmul_(dh, z[rows])
        at_start = grad.new_zeros(start.shape)
        at_start[: carried.shape[0]] = carried
        flat = at.flatten(1)
        at_w_h, at_b_h = flat.t() @ before, flat.sum(dim=0)
        th.mul(at_h, by_n, out=at[:, 2])  # now the gradients at ``W x + b``
        at_x = product(flat, w_x.t()) if ctx.needs_input_grad[0] else None
        return at_x, at_start, flat.t() @ x, flat.sum(dim=0), at_w_h, at_b_h, None


def _steps(sizes: Sequence[int]) -> list[slice]:
    """Return the rows of each step."""
    steps, first = [], 0
    for size in sizes:
        steps.append(slice(first, first + size))
        first += size
    return steps


def _before(start: Tensor, out: Tensor, steps: Sequence[slice]) -> Tensor:
    """Return the hidden state that every row's step began with, (R, H)."""
    before = th.empty_like(out)
    h = start
    for rows in steps:
        before[rows] = h[: rows.stop - rows.start]
        h = out[rows]
    return before


def unroll(gru: nn.GRU, x: Tensor, sizes: Sequence[int], start: Tensor | None = None) -> Tensor:
    """Unroll ``x (R, X) -> h (R, H)`` over rows in the order of a `PackedSequence`.

    Args:
        gru: one layer, one direction, with biases.
        x: the rows of step 0, then those of step 1, and so on.
        sizes: how many rows each step has; never more than the step before it. The first ones go on.
        start: (sizes[0], H), or None for zeros.
    """
    if start is None:
        start = x.new_zeros(sizes[0], gru.hidden_size)
    if x.is_cuda and min(sizes) == max(sizes):  # cuDNN's kernels
        h, _ = gru(x.view(len(sizes), sizes[0], -1), start.unsqueeze(0))
        return h.view(-1, gru.hidden_size)
    return _Unroll.apply(x, start, gru.weight_ih_l0, gru.bias_ih_l0, gru.weight_hh_l0, gru.bias_hh_l0, sizes)
