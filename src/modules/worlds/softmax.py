"""Softmax over a short axis: the classes of a latent, or a handful of agents.

PyTorch's own is made for long axes: on a CPU, over fewer than 16 numbers, it takes five to eight times as long as the
same in operations on whole tensors (docs/dreams.md has the times). Longer axes, and GPUs, are left to it.
"""

from typing import Any

import torch as th
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORT = 16  # numbers; from here on PyTorch's is faster


def softmax(x: Tensor) -> Tensor:
    """Return ``e^x / Σ e^x`` over the last axis."""
    return _Softmax.apply(x) if _is_short(x) else x.softmax(dim=-1)


def log_softmax(x: Tensor) -> Tensor:
    """Return ``x - ln Σ e^x`` over the last axis."""
    return _LogSoftmax.apply(x) if _is_short(x) else x.log_softmax(dim=-1)


def _is_short(x: Tensor) -> bool:
    return x.shape[-1] < SHORT and x.device.type == "cpu"


class _Softmax(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        p = (x - x.amax(dim=-1, keepdim=True)).exp_()
        p.div_(p.sum(dim=-1, keepdim=True))
        ctx.save_for_backward(p)
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (p,) = ctx.saved_tensors
        at_x = grad * p
        return at_x.sub_(p * at_x.sum(dim=-1, keepdim=True))


class _LogSoftmax(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        log_p = x - x.amax(dim=-1, keepdim=True)
        log_p.sub_(log_p.exp().sum(dim=-1, keepdim=True).log_())
        ctx.save_for_backward(log_p)
        return log_p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (log_p,) = ctx.saved_tensors
        return grad - log_p.exp().mul_(grad.sum(dim=-1, keepdim=True))
