"""One process per environment, for environments that are heavy or not safe to have twice in a process.

The processes are daemons and hold their pipe's only other end: they end when the runner closes, when an error
leaves it, and when this process is killed. One that raises, dies or hangs takes its episode with it, is ended by its
own process id, and another takes its place.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from select import POLLIN, poll
from typing import Any

from envs.multiagentenv import EpisodeLostError
from envs.serving import CLOSE_SECONDS, NOT_FOR_WORKERS, SHOW_STACK, serve
from runners.base_runner import Limits
from runners.worker_runner import SLICE, WorkerRunner
from utils.exits import how_it_ended

GRACE = 1.0  # seconds more for an answer that is late because the whole program was stopped and went on


class ParallelRunner(WorkerRunner):
    """`batch_size` worker processes, each with one environment."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any, limits: Limits) -> None:
        self.env_path, self.env_args = env_path, env_args
        self.pipes: list[Connection | None] = [None] * batch_size
        self.polls: list[poll | None] = [None] * batch_size  # quicker than Connection.poll, which makes one each time
        self.workers: list[SpawnProcess | None] = [None] * batch_size
        super().__init__(batch_size, clock, limits)

    def _start(self, slot: int) -> None:
        # Spawned, not forked: a fork would carry Torch's threads and a GPU's context into the workers.
        context = multiprocessing.get_context("spawn")
        self.pipes[slot], theirs = context.Pipe()
        worker = context.Process(target=serve, args=(theirs, self.env_path, self.env_args), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)  # inherited from its first moment on
        try:
            worker.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.workers[slot], self.polls[slot] = worker, poll()
        self.polls[slot].register(self.pipes[slot].fileno(), POLLIN)

    def _receive(self, slot: int, deadline: float) -> Any:
        if not self._has_answered(slot, deadline):
            raise self._hangs(slot)
        try:
            status, value = self.pipes[slot].recv()
        except (EOFError, OSError):
            raise self._died(slot) from None
        return self._value(slot, status, value)

    def _has_answered(self, slot: int, deadline: float) -> bool:
        """Wait until a worker has answered, at most until the deadline; raise where a stop was asked for meanwhile."""
        while True:
            left = max(0.0, deadline - time.monotonic())
            if self.polls[slot].poll(1000 * min(left, SLICE)):
                return True
            self.check_stop()
            if left <= SLICE:
                return bool(self.polls[slot].poll(1000 * GRACE))

    def _hangs(self, slot: int) -> EpisodeLostError:
        os.kill(self.workers[slot].pid, SHOW_STACK)
        time.sleep(0.2)  # for it to write
        self.workers[slot].terminate()
        return EpisodeLostError(
            f"environment worker {slot} gave no answer for {self.limits.env_timeout:g} s (env_timeout), "
            "see above where it was"
        )

    def _died(self, slot: int) -> EpisodeLostError:
        self.workers[slot].join(CLOSE_SECONDS)
        return EpisodeLostError(f"environment worker {slot} died ({how_it_ended(self.workers[slot].exitcode)})")

    def _send(self, slot: int, command: str, argument: Any = None) -> None:
        with suppress(ConnectionError):  # its worker is gone: receiving the answer tells
            self.pipes[slot].send((command, argument))

    def _discard(self, slots: Sequence[int]) -> None:
        for slot in slots:
            self.pipes[slot].close()
        _end([self.workers[slot] for slot in slots])

    def close(self) -> None:
        """Ask every worker to close its environment, and end those that do not."""
        pipes = [pipe for pipe in self.pipes if pipe is not None]
        for pipe in pipes:
            with suppress(OSError):  # that worker is gone already
                pipe.send(("close", None))
        _end([worker for worker in self.workers if worker is not None])
        for pipe in pipes:
            pipe.close()
        self.pipes, self.polls, self.workers = [], [], []


def _end(workers: Sequence[SpawnProcess]) -> None:
    """Wait for workers to end, then make them."""
    for end in (None, SpawnProcess.terminate, SpawnProcess.kill):  # SIGKILL also ends one that is stopped
        deadline = time.monotonic() + CLOSE_SECONDS
        for worker in workers:
            if end is not None and worker.is_alive():
                end(worker)
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
