"""One process of `main.py` that works at a run, on this machine."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from utils import locks

MAIN = Path(__file__).parents[1] / "main.py"
TAKEN = 1000  # instead of an exit code: another process worked at the run until now


class Work(NamedTuple):
    """What a process is to do: `main.py` with these words, in `cwd`, with so many threads; and its lock and log.

    `folder` is the run's, where it has one: somebody may work at it by hand.
    """

    words: list[str]
    cwd: Path
    threads: int
    lock: Path
    log: Path
    folder: Path | None = None

    def is_taken(self) -> bool:
        """Say whether a process works at the run."""
        return locks.is_locked(self.lock) or (self.folder is not None and locks.is_held(self.folder))


def start(work: Work) -> subprocess.Popen[bytes] | None:
    """Start a process in a session of its own, which holds the run's lock till its end; None if another one holds it.

    A terminal's Ctrl-C does not reach it: whoever started it passes that on.
    """
    if work.is_taken() or (lock := locks.take(work.lock)) is None:
        return None
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray's workers block it, children inherit
    try:
        with lock, work.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", str(MAIN), *work.words],
                cwd=work.cwd,
                env=os.environ | {"OMP_NUM_THREADS": str(work.threads)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
            locks.sign(lock, process.pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return process


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to save and end; the second time it ends at once."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
