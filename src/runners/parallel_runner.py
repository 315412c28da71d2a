"""One process per environment, for environments that are heavy or not safe to have twice in a process.

The processes are daemons and hold their pipe's only other end: they end when the runner closes, when an error
leaves it, and when this process is killed.
"""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from envs.serving import Outcome, View, serve
from runners.base_runner import BaseRunner

JOIN_SECONDS = 5.0  # how long a worker may take to close its environment before it is ended


class ParallelRunner(BaseRunner):
    """`batch_size` worker processes, each with one environment."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any) -> None:
        # Spawned, not forked: a fork would carry Torch's threads and a GPU's context into the workers.
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.workers = []
        try:
            for _ in range(batch_size):
                ours, theirs = context.Pipe()
                worker = context.Process(target=serve, args=(theirs, env_path, env_args), daemon=True)
                worker.start()
                theirs.close()
                self.pipes.append(ours)
                self.workers.append(worker)
            infos = [self._receive(slot) for slot in range(batch_size)]
        except BaseException:
            self.close()
            raise
        super().__init__(infos[0], batch_size, clock)

    def _receive(self, slot: int) -> Any:
        try:
            status, value = self.pipes[slot].recv()
        except (EOFError, ConnectionError):
            raise RuntimeError(f"environment worker {slot} died") from None
        if status == "error":
            raise RuntimeError(f"environment worker {slot} failed:\n{value}")
        return value

    def _send(self, slot: int, command: str, argument: Any) -> None:
        try:
            self.pipes[slot].send((command, argument))
        except ConnectionError:
            raise RuntimeError(f"environment worker {slot} died") from None

    def _reset(self, seeds: Sequence[int]) -> list[View]:
        for slot, seed in enumerate(seeds):
            self._send(slot, "reset", seed)
        return [self._receive(slot) for slot in range(len(seeds))]

    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        for slot, action in zip(slots, actions, strict=True):
            self._send(slot, "step", action)
        return [self._receive(slot) for slot in slots]

    def close(self) -> None:
        """Ask every worker to close its environment, and end those that do not."""
        for pipe in self.pipes:
            try:
                pipe.send(("close", None))
            except ConnectionError:
                continue  # that worker is gone already
        for worker in self.workers:
            worker.join(JOIN_SECONDS)
            if worker.is_alive():
                worker.terminate()
                worker.join()
        for pipe in self.pipes:
            pipe.close()
        self.pipes, self.workers = [], []
