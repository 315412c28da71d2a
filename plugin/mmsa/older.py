"""What the method's files call that Python 3.8 or Torch 1.12 lack: the real one where there is one.

Results are the same, to the last digits of a float.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import torch as th
from torch import Tensor, nn

__all__ = ["Adam", "clip_grads_with_norm_", "get_total_norm", "zip"]
MISSING = object()


def strict_zip(*columns: Iterable[Any], strict: bool) -> Iterator[tuple[Any, ...]]:
    """Yield what `zip` does; ValueError with `strict` where one ends before another. Python has it from 3.10 on."""
    for row in zip_longest(*columns, fillvalue=MISSING):
        if any(part is MISSING for part in row):
            if strict:
                raise ValueError("zip() has an argument that is shorter than another")
            return
        yield row


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return the norm of tensors as one vector. Torch has it from 2.6 on."""
    norms = [tensor.norm() for tensor in tensors]
    return th.stack(norms).norm() if norms else th.zeros(())


def clip_with_norm_(parameters: Iterable[nn.Parameter], max_norm: float, total_norm: Tensor) -> None:
    """Scale gradients of a known norm down to `max_norm`. Torch has it from 2.6 on."""
    scale = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(scale)


def Adam(parameters: list[nn.Parameter], fused: bool, **options: Any) -> th.optim.Adam:  # noqa: N802  Torch's name
    """Return Adam, fused where it can be: on a GPU from Torch 2.0 on, on a CPU from 2.4 on."""
    try:
        return th.optim.Adam(parameters, fused=fused, **options)
    except (RuntimeError, TypeError):
        return th.optim.Adam(parameters, **options)


zip = builtins.zip if sys.version_info >= (3, 10) else strict_zip
get_total_norm = getattr(nn.utils, "get_total_norm", total_norm)
clip_grads_with_norm_ = getattr(nn.utils, "clip_grads_with_norm_", clip_with_norm_)
