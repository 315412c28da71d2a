"""Acting while the learner learns (`overlap=1`): a round is played with weights that lag by one round's updates.

Round k is played by a copy of the networks that was made before the updates which follow round k-1; those are taken
meanwhile, by a thread of their own, from replay as round k-1 left it. Then round k goes into replay. So nothing is
shared while both are at work, and what each computes hangs on no clock: a seed gives the same run bit for bit.
The updates that would follow the last round are not taken.

A checkpoint lies between two rounds, with the updates of the last one still to come. Only a round that was left, by a
stop or a fault, has them already: then the copy is a part of the checkpoint, for that round is to be played again.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any, TypeVar

import torch as th
from torch import Tensor

from utils.gpu import alone

PREFIX = "acting."
Played = TypeVar("Played")


class Overlap:
    """The networks that act, and the thread that learns.

    `ahead`: whether the updates that follow the last round in replay were taken already.
    """

    def __init__(self, mac: Any, learner: Any, threads: int) -> None:
        """Take controller and learner; raise ValueError where methods need episodes of their own weights."""
        if learner.EXPERIENCE == "fresh":
            raise ValueError(
                "overlap=1 is for methods that learn from replay: this one learns from what its own weights have played"
            )
        self.mac, self.acting, self.ahead = mac, deepcopy(mac), False
        self._pool = ThreadPoolExecutor(1, "learner", initializer=th.set_num_threads, initargs=(threads,))
        self._stream = th.cuda.Stream(priority=-1) if mac.device.type == "cuda" else None

    def round(self, play: Callable[[Any], Played], learn: Callable[[], object] | None) -> Played:
        """Return what `play` gives for the copy, with `learn` done meanwhile; `learn` is None before the first round.

        Where either fails the other is waited for, and `ahead` says whether there is nothing to learn before the round
        is played again.
        """
        learning: Future[object] | None = None
        if not self.ahead:
            self.acting.agent.load_state_dict(self.mac.agent.state_dict())
            if learn is not None:
                learning = self._pool.submit(_alone, learn)
        try:
            with self._beside():
                played = play(self.acting)
        finally:
            if learning is not None:
                learning.result()
            self.ahead = True
        self.ahead = False
        return played

    def _beside(self) -> AbstractContextManager[object]:
        """Let a GPU choose actions beside the update's kernels, and not behind them."""
        if self._stream is None:
            return nullcontext()
        self._stream.wait_stream(th.cuda.current_stream())  # for the copy
        return th.cuda.stream(self._stream)

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the weights that a checkpoint needs besides the learner's: none, but for a round that was left."""
        return {PREFIX + name: value for name, value in self.acting.agent.state_dict().items()} if self.ahead else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `state_tensors` gave."""
        held = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
        self.ahead = bool(held)
        if self.ahead:
            self.acting.agent.load_state_dict(held)

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()


def _alone(learn: Callable[[], object]) -> None:
    """Learn, while nobody records a graph: updates draw."""
    with alone:
        learn()
