"""An update as one CUDA graph: recorded once, then launched as a whole.

An update is some thousand small kernels, and launching them one by one from Python takes longer than they run.
"""

from collections.abc import Callable
from typing import Any

import torch as th
from torch import Tensor

Update = Callable[[Any], dict[str, Tensor]]
WARM_UP = 3  # updates taken one kernel at a time first: libraries choose their algorithms, Adam makes its moments


class GraphedUpdate:
    """Calls an update for the first batches, records it on the next, and from then on replays the record.

    Every batch must have the same shape, lie on the GPU, and offer `clone` and `copy_unless`. The update must wait for
    nothing on the CPU and always use the same memory for parameters, moments and targets. Its figures are overwritten
    by the next call.
    """

    def __init__(self, update: Update, stopped: Tensor) -> None:
        """`stopped` is a scalar on the GPU: once it is above 0, every call repeats the update on the same batch."""
        self.update, self.stopped, self.calls = update, stopped, 0
        self.graph = th.cuda.CUDAGraph()
        self.stream = th.cuda.Stream()
        self.batch: Any
        self.figures: dict[str, Tensor]

    def __call__(self, batch: Any) -> dict[str, Tensor]:
        """Take one update."""
        self.calls += 1
        if self.calls == 1:
            self.batch = batch.clone()
        else:
            self.batch.copy_unless(self.stopped > 0, batch)
        if self.calls <= WARM_UP:
            self._on_side_stream()
            return self.figures
        if self.calls == WARM_UP + 1:
            with th.cuda.graph(self.graph, capture_error_mode="thread_local"):  # others may act meanwhile
                self.figures = self.update(self.batch)
        self.graph.replay()
        return self.figures

    def _on_side_stream(self) -> None:
        self.stream.wait_stream(th.cuda.current_stream())
        with th.cuda.stream(self.stream):
            self.figures = self.update(self.batch)
        th.cuda.current_stream().wait_stream(self.stream)
