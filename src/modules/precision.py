"""Forward passes in bfloat16, Torch's autocast, for code whose gradients are written out.

Where autocast is on, `torch.autocast` chooses the precision of PyTorch's own functions. Ours, whose gradients it knows
nothing of, ask `casts` and round for themselves.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch as th
from torch import Tensor


class _Here(threading.local):
    """What is on in this thread: acting goes on beside updates."""

    on = False


_here = _Here()


def casts() -> bool:
    """Say whether forward passes are taken in bfloat16 now, in this thread."""
    return _here.on


def widened(x: Tensor) -> Tensor:
    """Return what a forward pass gave in bfloat16 as float32; other numbers as they are, float64 above all."""
    return x.float() if x.dtype == th.bfloat16 else x


@contextmanager
def bfloat16(device: th.device) -> Iterator[None]:
    """Take forward passes in bfloat16 meanwhile; parameters stay float32. Gradients follow once it has ended."""
    with _set(on=True), th.autocast(device.type, dtype=th.bfloat16, cache_enabled=False):  # graphs want no cache
        yield


@contextmanager
def float32(device: th.device) -> Iterator[None]:
    """Take everything in float32 meanwhile, in the midst of a forward pass in bfloat16."""
    if not casts():
        yield
        return
    with _set(on=False), th.autocast(device.type, dtype=th.bfloat16, enabled=False):
        yield


@contextmanager
def _set(on: bool) -> Iterator[None]:
    before, _here.on = _here.on, on
    try:
        yield
    finally:
        _here.on = before
