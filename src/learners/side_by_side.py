"""An update's gradients on several CPU cores: the episodes of a batch are dealt out to processes of a few threads each.

Networks as small as these keep Torch's threads waiting for each other, and Python's own threads for its lock. Processes
wait once per update. All see the same parameters, in shared memory, and each has a place in it for its gradients.
"""

import atexit
import multiprocessing
import os
import signal
import socket
import struct
import time
import traceback
from collections.abc import Sequence
from copy import copy
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import torch as th
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.episode_rows import totals_of
from learners.learner import Scalars
from utils.errors import RunFailedError
from utils.exits import how_it_ended
from utils.memory import keep_freed_memory
from utils.stopping import ASKS

MOST = 4  # processes of several threads: with more, each spends much of its time on what its share does not shrink
TIMEOUT = 600.0  # seconds; the setting update_timeout
GRACE = 1.0  # seconds more for an answer that is late because the whole program was stopped and went on
END_SECONDS = 5.0  # how long a process that is gone may take until its exit code is known
STOPS = set(ASKS)  # often sent to every process of a group, and the run's to answer
TRAINING_ALONE = ("optimisers", "update", "logger", "backward")  # attributes of a learner that losses need not


def can_divide(learner: Any, threads: int) -> bool:
    """Say whether there is anything to gain, and the losses of a batch are sums over its rows.

    The class that defines `losses` has to say so of them itself, by `SUMS_OVER_ROWS`.
    """
    defines = next((kind for kind in type(learner).__mro__ if "losses" in vars(kind)), object)
    adds_up = vars(defines).get("SUMS_OVER_ROWS", False)
    whole = any(isinstance(part, nn.BatchNorm1d) for module in learner.trained.values() for part in module.modules())
    return learner.device.type == "cpu" and threads > 1 and adds_up and not whole


class SideBySide:
    """Takes the place of a learner's `backward`. Its processes start with the first batch.

    The losses are those of the whole batch up to rounding, except for what they draw: every process has random numbers
    of its own, from a seed that it gets with each batch out of Torch's generator here. So a run repeats itself with
    the same number of processes.
    """

    def __init__(self, learner: Any, threads: int, timeout: float = TIMEOUT) -> None:
        """Take how many `threads` there are in all, and how many seconds a process may take for its share."""
        self.learner, self.timeout = learner, timeout
        self.n_parts = threads if threads < 2 * MOST else MOST
        self.threads = threads // self.n_parts
        self.workers: list[_Worker] = []
        th.set_num_threads(self.threads)

    def __call__(self, batch: EpisodeBatch) -> tuple[Scalars, Scalars]:
        """Set the gradients of a batch's losses, and return the losses and what else is logged.

        Raises `RunFailedError` where a process fails, dies or hangs.
        """
        if not self.workers:
            self._start()
        totals = totals_of(batch)
        own, *others = batch.parts(self.n_parts)
        seeds = th.randint(2**62, (len(others),)).tolist()
        busy = self.workers[: len(others)]
        for worker, part, seed in zip(busy, others, seeds, strict=True):
            worker.begin(part, totals, seed, self.learner.updates)
        losses, metrics = type(self.learner).backward(self.learner, own, totals)
        deadline = time.monotonic() + self.timeout
        for worker in busy:
            more_losses, more_metrics, reached = worker.finish(deadline)
            losses = {name: value + more_losses[name] for name, value in losses.items()}
            metrics = {name: value + more_metrics[name] for name, value in metrics.items()}
            for parameter, share, has_share in zip(self.learner.parameters, worker.gradients, reached, strict=True):
                if has_share:
                    parameter.grad = share.clone() if parameter.grad is None else parameter.grad.add_(share)
        return losses, metrics

    def _start(self) -> None:
        part = copy(self.learner)
        for name in TRAINING_ALONE:
            setattr(part, name, None)
        atexit.register(self.close)
        for index in range(1, self.n_parts):
            self.workers.append(_Worker(index, part, self.threads, self.timeout))

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.close()
        self.workers = []
        atexit.unregister(self.close)


class _Worker:
    """One of the other processes, seen from here."""

    def __init__(self, index: int, learner: Any, threads: int, timeout: float) -> None:
        self.name = f"process {index} of those that share an update (threads)"
        self.timeout = timeout
        self.gradients = [th.zeros_like(parameter) for parameter in learner.parameters]
        # Spawned, not forked: a fork would carry Torch's threads along. Tensors among the arguments become shared.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        _limit_sending(self.pipe, timeout)
        arguments = (theirs, learner, self.gradients, threads)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        resource_tracker.ensure_running()  # which would let the signals through again as it starts
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # it inherits that, from its first moment on
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def begin(self, part: EpisodeBatch, totals: Sequence[int], seed: int, updates: int) -> None:
        try:
            self.pipe.send((part.scheme, part.groups, part.storage.numpy(), totals, seed, updates))
        except ConnectionError:
            raise self._died() from None
        except BlockingIOError:
            raise self._hangs() from None

    def finish(self, deadline: float) -> tuple[dict[str, float], dict[str, float], list[bool]]:
        if not self.pipe.poll(max(0.0, deadline - time.monotonic())) and not self.pipe.poll(GRACE):
            raise self._hangs()
        try:
            status, answer = self.pipe.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if status == "error":
            failure = RunFailedError(f"{self.name} failed: {answer.strip().splitlines()[-1]}")
            failure.add_note(answer.rstrip())
            raise failure
        return answer

    def _hangs(self) -> RunFailedError:
        return RunFailedError(
            f"{self.name} gave no answer for {self.timeout:g} s (update_timeout); what was saved before is whole: go "
            "on with resume=<the run's folder>, where threads=1 does without it"
        )

    def _died(self) -> RunFailedError:
        self.process.join(END_SECONDS)
        how = how_it_ended(self.process.exitcode)
        return RunFailedError(f"{self.name} died ({how}); if memory ran out, threads=1 takes less")

    def close(self) -> None:
        self.pipe.close()
        self.process.kill()  # it has nothing to lose
        self.process.join()
        self.process.close()


def _limit_sending(pipe: Connection, seconds: float) -> None:
    """Let sending through a pipe fail (`BlockingIOError`) when the other end takes nothing for so long."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:  # its options are the pipe's
        timeval = divmod(max(1, round(1e6 * seconds)), 10**6)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", *timeval))


def serve(pipe: Connection, learner: Any, gradients: Sequence[Tensor], threads: int) -> None:
    """Compute shares in batches until the other end is gone: what a process does."""
    keep_freed_memory()
    th.set_num_threads(threads)
    while True:
        try:
            scheme, groups, storage, totals, seed, learner.updates = pipe.recv()
        except (EOFError, OSError):
            return  # the parent is gone
        try:
            batch = EpisodeBatch(scheme, groups, *storage.shape[:2], th.from_numpy(storage))
            answer = ("ok", _share(learner, batch, totals, seed, gradients))
        except Exception:  # noqa: BLE001  the parent tells, with this traceback
            answer = ("error", traceback.format_exc())
        try:
            pipe.send(answer)
        except ConnectionError:
            return


def _share(
    learner: Any, batch: EpisodeBatch, totals: Sequence[int], seed: int, gradients: Sequence[Tensor]
) -> tuple[dict[str, float], dict[str, float], list[bool]]:
    """Write the gradients of a share; return its losses, what is logged, and which parameters have a gradient."""
    th.manual_seed(seed)
    for module in learner.trained.values():
        module.train()
    for parameter in learner.parameters:
        parameter.grad = None
    losses, metrics = type(learner).backward(learner, batch, totals)
    for parameter, gradient in zip(learner.parameters, gradients, strict=True):
        if parameter.grad is not None:
            gradient.copy_(parameter.grad)
    figures = [{name: value.item() for name, value in values.items()} for values in (losses, metrics)]
    return *figures, [parameter.grad is not None for parameter in learner.parameters]
