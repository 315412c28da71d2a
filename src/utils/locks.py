"""Locks that end with the process that holds them, however it ends: `flock` on a file.

A child that inherits the open file holds the lock too. The file says who: process id and host. On a file system without
locks (some networks') a lock is a heartbeat: its holder touches the file, and one that was not touched for a minute
is nobody's.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, NamedTuple

from utils.errors import PassingError, UserError, may_pass

RUN_LOCK = "run.lock"  # in a run's folder: held by the process that works at it
PATIENCE = 1.0  # seconds; somebody may just be looking whether the file is locked
BEAT, SILENT = 10.0, 60.0  # seconds between two heartbeats, and without one until the holder counts as gone
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class Holder(NamedTuple):
    """The process that took a lock."""

    pid: int
    host: str


def take(path: Path) -> IO[str] | None:
    """Return the locked file, which frees it when closed by all who have it open, or None if somebody else holds it.

    Raises `OSError` with one of `NO_LOCKS` on a file system that has none.
    """
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
        except OSError:
            file.close()
            raise
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
    except OSError as why:
        return why.errno in NO_LOCKS and _beats(path)
    return False


def holder(path: Path) -> Holder | None:
    """Return who holds a lock; None if nobody does, or has not said so yet."""
    return signed(path) if is_locked(path) else None


def signed(path: Path) -> Holder | None:
    """Return who signed a lock's file last."""
    with suppress(ValueError, OSError):
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


@contextmanager
def holding(folder: Path) -> Iterator[str]:
    """Hold a run's folder within the block: nobody else works at it. Gives a sentence that is to be told, or nothing.

    Raises `PassingError` where somebody does.
    """
    path, said = folder / RUN_LOCK, ""
    try:
        file = take(path)
    except OSError as why:
        if why.errno not in NO_LOCKS:
            kind = PassingError if may_pass(why) else UserError
            raise kind(f"{folder}: cannot write there ({why.strerror})") from why
        if _beats(path):
            file = None
        else:
            said = f"{folder} is on a file system without locks: for a minute after a crash it counts as in use"
            file = path.open("a+")
    if file is None:
        who = signed(path)
        by = f"process {who.pid} on {who.host}" if who else "another process"
        raise PassingError(f"{folder} is in use: {by} works at this run; wait for it, or stop it there")
    with file:
        sign(file, os.getpid())
        done = Event()
        beating = Thread(target=_beat, args=(path, done), daemon=True)
        if said:
            beating.start()
        try:
            yield said
        finally:
            done.set()
            if said:
                beating.join()
                file.truncate(0)  # nobody's


def is_held(folder: Path) -> bool:
    """Say whether a process works at a run's folder."""
    return is_locked(folder / RUN_LOCK)


def _beat(path: Path, done: Event) -> None:
    while not done.wait(BEAT):
        with suppress(OSError):
            os.utime(path)


def _beats(path: Path) -> bool:
    """Say whether a lock's file is signed and was touched lately, by the clock of its own file system."""
    who = signed(path)
    if who is None or (is_here(who) and not Path(f"/proc/{who.pid}").exists()):
        return False
    probe = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime < SILENT
    except OSError:
        return True  # who cannot look does not take it
    finally:
        with suppress(OSError):
            probe.unlink()
