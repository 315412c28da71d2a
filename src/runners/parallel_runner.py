"""One process per environment, for environments that are heavy or not safe to have twice in a process.

The processes are daemons and hold their pipe's only other end: they end when the runner closes, when an error
leaves it, and when this process is killed. One that raises, dies or hangs takes its episode with it, is ended by its
own process id, and another takes its place.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from select import POLLIN, poll
from typing import Any

import numpy as np

from envs.batch import summed
from envs.multiagentenv import EpisodeLostError, Outcome, View
from envs.serving import CLOSE_SECONDS, NOT_FOR_WORKERS, SHOW_STACK, serve
from runners.base_runner import BaseRunner, Limits, failed_run
from utils.errors import RunFailedError, UserError
from utils.exits import how_it_ended

HOUR = 3600.0  # seconds
SLICE = 0.5  # seconds between two looks whether a stop was asked for
GRACE = 1.0  # seconds more for an answer that is late because the whole program was stopped and went on


class ParallelRunner(BaseRunner):
    """`batch_size` worker processes, each with one environment."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any, limits: Limits) -> None:
        self.env_path, self.env_args, self.limits = env_path, env_args, limits
        self.pipes: list[Connection | None] = [None] * batch_size
        self.polls: list[poll | None] = [None] * batch_size  # quicker than Connection.poll, which makes one each time
        self.workers: list[SpawnProcess | None] = [None] * batch_size
        slots = range(batch_size)
        try:
            for slot in slots:
                self._start(slot)
            infos, faults = self._gather(slots)
            for fault in faults.values():
                raise failed_run(str(fault), fault)
        except BaseException:
            self.close()
            raise
        super().__init__(infos[0], batch_size, clock, limits)
        self._restarts: list[deque[float]] = [deque() for _ in slots]  # when, of the last hour

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

    def _gather(self, slots: Sequence[int]) -> tuple[list[Any], dict[int, EpisodeLostError]]:
        """Return what workers answer, in order, and by slot why one does not: it raised, died or hangs."""
        answers, faults = [], {}
        deadline = time.monotonic() + self.limits.env_timeout
        for slot in slots:
            try:
                answers.append(self._receive(slot, deadline))
            except EpisodeLostError as fault:
                faults[slot] = fault
                answers.append(fault)
        return answers, faults

    def _answers(self, slots: Sequence[int]) -> list[Any]:
        """Return what workers answer, or that the episode is lost; those that fail are replaced."""
        answers, faults = self._gather(slots)
        while faults:
            self.check_stop()  # what stops the run may have ended its workers too
            self._replace(faults)
            _, faults = self._gather(list(faults))  # the same `EnvInfo` as before
        return answers

    def _replace(self, faults: Mapping[int, EpisodeLostError]) -> None:
        for slot, fault in faults.items():
            self._allow_restart(slot, fault)
            print("\n".join([*getattr(fault, "__notes__", ()), f"{fault}; starting another"]), file=sys.stderr)
            self.pipes[slot].close()
        _end([self.workers[slot] for slot in faults])
        for slot in faults:
            self._start(slot)
            self.env_restarts += 1

    def _receive(self, slot: int, deadline: float) -> Any:
        if not self._has_answered(slot, deadline):
            raise self._hangs(slot)
        try:
            status, value = self.pipes[slot].recv()
        except (EOFError, OSError):
            raise self._died(slot) from None
        if status == "mistake":
            raise UserError(value)
        if status == "failure":
            raise RunFailedError(value)
        if status == "error":
            fault = EpisodeLostError(f"environment worker {slot} failed: {value.strip().splitlines()[-1]}")
            fault.add_note(value.rstrip())
            raise fault
        return value

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

    def _allow_restart(self, slot: int, fault: EpisodeLostError) -> None:
        """Take note of a restart; raise `RunFailedError` where it is one too many."""
        restarts, now = self._restarts[slot], time.monotonic()
        while restarts and restarts[0] < now - HOUR:
            restarts.popleft()
        if len(restarts) >= self.limits.max_env_restarts:
            raise failed_run(
                f"{fault}; it was started anew {len(restarts)} times within the last hour already "
                f"(max_env_restarts={self.limits.max_env_restarts})",
                fault,
            )
        restarts.append(now)

    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        for slot, seed in zip(slots, seeds, strict=True):
            self._send(slot, "reset", seed)
        return self._answers(slots)

    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        for slot, action in zip(slots, actions, strict=True):
            self._send(slot, "step", action)
        return self._answers(slots)

    def _env_stats(self) -> dict[str, float]:
        for slot in range(self.batch_size):
            self._send(slot, "stats")
        answers = self._answers(range(self.batch_size))
        return summed(answer for answer in answers if isinstance(answer, dict))  # a worker's numbers die with it

    def save_replays(self, folder: Path) -> None:
        """Ask every worker for its replay."""
        for slot in range(self.batch_size):
            self._send(slot, "save_replay", folder / str(slot))
        for lost in self._answers(range(self.batch_size)):
            if isinstance(lost, EpisodeLostError):
                raise RunFailedError(f"no replay was saved: {lost}")

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
