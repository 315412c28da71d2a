"""Runs on this machine, a few at a time."""

import subprocess
from collections.abc import Callable

from study_runs import process
from study_runs.process import TAKEN, Work


class LocalTask:
    """A run's process, or the wait for one that an earlier driver has left and that still works at the run."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waits = True
        self._process: subprocess.Popen[bytes] | None = process.start(work)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs; `TAKEN` after the wait for another process."""
        if self._process is not None:
            return self._process.poll()
        return None if self._waits and self._work.is_taken() else TAKEN

    def interrupt(self) -> None:
        """Ask it to save and end; the second time it ends at once. What this driver did not start is left alone."""
        self._waits = False
        if self._process is not None:
            process.interrupt(self._process)

    def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            process.kill(self._process)


class Local:
    """Starts runs on this machine, at most `jobs` at once."""

    start: Callable[[Work], LocalTask] = staticmethod(LocalTask)

    def __init__(self, jobs: int) -> None:
        self.slots = self.at_once = jobs

    def close(self) -> None:
        """Nothing is left to end."""
