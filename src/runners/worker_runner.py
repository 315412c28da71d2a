"""One environment per worker, wherever workers live: what is common to processes here and to nodes of a cluster.

A worker that raises, dies or hangs takes its episode with it; it is discarded, and another takes its place.
"""

import sys
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.batch import summed
from envs.multiagentenv import EpisodeLostError, Outcome, View
from runners.base_runner import BaseRunner, Limits, failed_run
from utils.errors import RunFailedError, UserError

HOUR = 3600.0  # seconds
SLICE = 0.5  # seconds between two looks whether a stop was asked for


class WorkerRunner(BaseRunner):
    """`batch_size` workers, each with one environment; each answers first with its `EnvInfo`."""

    def __init__(self, batch_size: int, clock: Any, limits: Limits) -> None:
        self.limits = limits
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

    @abstractmethod
    def _start(self, slot: int) -> None:
        """Start a slot's worker, which answers with its `EnvInfo`."""

    @abstractmethod
    def _send(self, slot: int, command: str, argument: Any = None) -> None:
        """Ask a worker, see `envs.serving`; where it is gone, receiving the answer tells."""

    @abstractmethod
    def _receive(self, slot: int, deadline: float) -> Any:
        """Return a worker's answer (`_value`); raise `EpisodeLostError` where it died, or hangs at the deadline."""

    @abstractmethod
    def _discard(self, slots: Sequence[int]) -> None:
        """End the workers of some slots."""

    def _value(self, slot: int, status: str, value: Any) -> Any:
        """Return what a worker has answered, or raise what it says."""
        if status == "mistake":
            raise UserError(value)
        if status == "failure":
            raise RunFailedError(value)
        if status == "error":
            fault = EpisodeLostError(f"environment worker {slot} failed: {value.strip().splitlines()[-1]}")
            fault.add_note(value.rstrip())
            raise fault
        return value

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
        self._discard(list(faults))
        for slot in faults:
            self._start(slot)
            self.env_restarts += 1

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
