"""Locks that end with the process that holds them, however it ends: `flock` on a file.

A child that inherits the open file holds the lock too. The file says who: process id and host.
"""

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

PATIENCE = 1.0  # seconds; somebody may just be looking whether the file is locked


class Holder(NamedTuple):
    """The process that took a lock."""

    pid: int
    host: str


def take(path: Path) -> IO[str] | None:
    """Return the locked file, which frees it when closed by all who have it open, or None if somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                return None
            time.sleep(PATIENCE / 20)
        else:
            return file


def sign(file: IO[str], pid: int) -> None:
    """Write into a lock's file who holds it."""
    file.truncate(0)
    file.write(f"{pid} {socket.gethostname()}\n")
    file.flush()


def is_locked(path: Path) -> bool:
    """Say whether somebody holds the lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def holder(path: Path) -> Holder | None:
    """Return who holds a lock; None if nobody does, or has not said so yet."""
    if not is_locked(path):
        return None
    with suppress(ValueError):
        pid, host = path.read_text().split()
        return Holder(int(pid), host)
    return None


def is_here(who: Holder) -> bool:
    """Say whether a process runs on this machine."""
    return who.host == socket.gethostname()


def interrupt(who: Holder, signum: int) -> None:
    """Send a signal to the holder, if it has not ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(who.pid, signum)
