"""One process per environment, for environments that are heavy or not safe to have twice in a process.

The processes are daemons and hold their pipe's only other end: they end when the runner closes, when an error
leaves it, and when this process is killed. One that dies takes its episode with it, and another takes its place.
"""

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from envs.batch import summed
from envs.multiagentenv import EpisodeLostError, Outcome, View
from envs.serving import serve
from runners.base_runner import BaseRunner
from utils.errors import RunFailedError, UserError

JOIN_SECONDS = 5.0  # how long a worker may take to close its environment before it is ended


class ParallelRunner(BaseRunner):
    """`batch_size` worker processes, each with one environment."""

    def __init__(
        self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any, max_losses_in_a_row: int
    ) -> None:
        self.env_path, self.env_args = env_path, env_args
        self.pipes: list[Connection] = []
        self.workers: list[SpawnProcess] = []
        try:
            for _ in range(batch_size):
                pipe, worker = self._start()
                self.pipes.append(pipe)
                self.workers.append(worker)
            infos = [self._receive(slot) for slot in range(batch_size)]
        except BaseException:
            self.close()
            raise
        super().__init__(infos[0], batch_size, clock, max_losses_in_a_row)

    def _start(self) -> tuple[Connection, SpawnProcess]:
        # Spawned, not forked: a fork would carry Torch's threads and a GPU's context into the workers.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        worker = context.Process(target=serve, args=(theirs, self.env_path, self.env_args), daemon=True)
        worker.start()
        theirs.close()
        return ours, worker

    def _receive(self, slot: int) -> Any:
        try:
            status, value = self.pipes[slot].recv()
        except (EOFError, OSError):
            raise _WorkerDiedError(f"environment worker {slot} died") from None
        if status == "mistake":
            raise UserError(value)
        if status == "failure":
            raise RunFailedError(value)
        if status == "error":
            raise RuntimeError(f"environment worker {slot} failed:\n{value}")
        return value

    def _send(self, slot: int, command: str, argument: Any = None) -> None:
        with suppress(ConnectionError):  # its worker is gone: receiving the answer tells
            self.pipes[slot].send((command, argument))

    def _answer(self, slot: int) -> Any:
        """Return what a worker answers; for one that has died, start another and say that the episode is lost."""
        try:
            return self._receive(slot)
        except _WorkerDiedError as death:
            self.pipes[slot].close()
            _end(self.workers[slot])
            self.pipes[slot], self.workers[slot] = self._start()
            self._receive(slot)  # the same `EnvInfo` as before
            return EpisodeLostError(str(death))

    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        for slot, seed in zip(slots, seeds, strict=True):
            self._send(slot, "reset", seed)
        return [self._answer(slot) for slot in slots]

    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        for slot, action in zip(slots, actions, strict=True):
            self._send(slot, "step", action)
        return [self._answer(slot) for slot in slots]

    def _env_stats(self) -> dict[str, float]:
        for slot in range(self.batch_size):
            self._send(slot, "stats")
        answers = [self._answer(slot) for slot in range(self.batch_size)]
        return summed(answer for answer in answers if isinstance(answer, dict))  # a worker's numbers die with it

    def save_replays(self, folder: Path) -> None:
        """Ask every worker for its replay."""
        for slot in range(self.batch_size):
            self._send(slot, "save_replay", folder / str(slot))
        for slot in range(self.batch_size):
            if isinstance(lost := self._answer(slot), EpisodeLostError):
                raise RunFailedError(f"no replay was saved: {lost}")

    def close(self) -> None:
        """Ask every worker to close its environment, and end those that do not."""
        for pipe in self.pipes:
            try:
                pipe.send(("close", None))
            except ConnectionError:
                continue  # that worker is gone already
        for worker in self.workers:
            _end(worker)
        for pipe in self.pipes:
            pipe.close()
        self.pipes, self.workers = [], []


def _end(worker: SpawnProcess) -> None:
    worker.join(JOIN_SECONDS)
    if worker.is_alive():
        worker.terminate()
        worker.join(JOIN_SECONDS)
    if worker.is_alive():
        worker.kill()
        worker.join()


class _WorkerDiedError(RuntimeError):
    """A worker ended without an answer."""
