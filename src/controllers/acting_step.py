"""Agents' networks on memory that stays in its place, so that a GPU can record an acting step and launch it whole.

A step is a dozen small kernels, whose launches take longer than they run, between two copies, for which the processor
waits unless the memory on its side is pinned.

Letters: n episodes that are acting, N agents, I agent input size, H hidden size, A actions.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch as th
from torch import Tensor

from utils.gpu import alone

Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (n, N, I), (n, N, H) -> Q (n, N, A), (n, N, H)
WARM_UP = 3  # steps of n episodes that are taken one kernel at a time first: libraries choose their algorithms
MOST = 64  # recordings that are kept; other numbers of episodes go on one kernel at a time


class _Room(NamedTuple):
    """Memory for up to so many episodes: what agents read, here and where the networks are, and what they carry on."""

    told: Tensor  # numbers on the processor's side
    inputs: Tensor  # (…, N, I)
    hidden: Tensor  # (…, N, H)

    def holds(self, n: int, size: int, hidden: Tensor) -> bool:
        same = self.inputs.shape[2] == size and self.hidden.shape[1:] == hidden.shape[1:]
        return len(self.inputs) >= n and same and self.hidden.device == hidden.device


class _Recorded(NamedTuple):
    """A step of n episodes, and where its results lie after it was launched."""

    graph: Any
    q: Tensor
    h: Tensor


class ActingStep:
    """Calls ``forward``, the same every time, for any number of episodes; with `record`, by a recording for each.

    Parameters may change between steps, where they lie may not. Without a GPU a «recording» calls `forward` and
    writes to the memory that the first call gave. A deep copy begins anew, for it is to act with other networks.
    """

    def __init__(self, record: bool) -> None:
        self.record = record
        self.recorded: dict[int, _Recorded] = {}
        self._steps: Counter[int] = Counter()
        self._room: _Room | None = None
        self._said: Tensor | None = None
        self._pool: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "ActingStep":
        return ActingStep(self.record)

    @th.no_grad()
    def __call__(self, forward: Forward, parts: Sequence[np.ndarray], hidden: Tensor) -> tuple[np.ndarray, Tensor]:
        """Take a step.

        Args:
            forward: networks as a function of what agents read and what they carry on.
            parts: what agents read, arrays (n, N, …) to be put side by side.
            hidden: (n, N, H).

        Returns:
            Q (n, N, A) and the next hidden state (n, N, H), which later steps leave alone.
        """
        room = self._room_for(len(hidden), sum(part.shape[-1] for part in parts), hidden)
        inputs, start = room.inputs[: len(hidden)], room.hidden[: len(hidden)]
        told = room.told[: inputs.numel()].view(inputs.shape)
        np.concatenate(parts, axis=-1, out=told.numpy(), casting="same_kind")
        inputs.copy_(told, non_blocking=True)
        start.copy_(hidden)
        q, h = self._launched(forward, inputs, start)
        return self._to_here(q), h.clone() if self.record else h

    def _room_for(self, n: int, size: int, hidden: Tensor) -> _Room:
        """Return memory for n episodes; where more is needed than there was, what was recorded is forgotten."""
        if self._room is None or not self._room.holds(n, size, hidden):
            N, device = hidden.shape[1], hidden.device
            self._room = _Room(
                th.zeros(n * N * size, pin_memory=device.type == "cuda"),
                th.zeros(n, N, size, device=device),
                th.zeros_like(hidden),
            )
            self.recorded, self._steps, self._said = {}, Counter(), None
        return self._room

    def _launched(self, forward: Forward, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        n = len(inputs)
        if n not in self.recorded:
            self._steps[n] += 1
            if not self.record or self._steps[n] <= WARM_UP or len(self.recorded) == MOST:
                return forward(inputs, hidden)
            self.recorded[n] = self._recording(forward, inputs, hidden)
        recorded = self.recorded[n]
        recorded.graph.replay()
        return recorded.q, recorded.h

    def _recording(self, forward: Forward, inputs: Tensor, hidden: Tensor) -> _Recorded:
        if inputs.device.type != "cuda":
            q, h = forward(inputs, hidden)
            return _Recorded(_Again(forward, inputs, hidden, (q, h)), q, h)
        if self._pool is None:
            self._pool = th.cuda.graph_pool_handle()  # results are read before another recording is launched
        graph = th.cuda.CUDAGraph()
        with alone, th.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            q, h = forward(inputs, hidden)
        return _Recorded(graph, q, h)

    def _to_here(self, q: Tensor) -> np.ndarray:
        """Return Q as an array of its own, once all is done that leads to it."""
        if q.device.type != "cuda":
            return q.numpy().copy()
        if self._said is None:
            self._said = th.empty(len(self._room.inputs) * q[0].numel(), dtype=q.dtype, pin_memory=True)
        said = self._said[: q.numel()].view(q.shape)
        said.copy_(q, non_blocking=True)
        th.cuda.current_stream().synchronize()
        return said.numpy().copy()


class _Again(NamedTuple):
    """What stands for a graph where there is no GPU."""

    forward: Forward
    inputs: Tensor
    hidden: Tensor
    results: tuple[Tensor, Tensor]

    def replay(self) -> None:
        """Call anew, and write the results where the first ones are."""
        for result, found in zip(self.results, self.forward(self.inputs, self.hidden), strict=True):
            result.copy_(found)
