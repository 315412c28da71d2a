"""How much memory there is for this process: by the system, by its control groups, and by what others are yet to take.

Runs on one machine tell each other how much they will take, by a file each in a folder of the user's, so that several
that start side by side do not all count on the same memory. Linux only; elsewhere nothing is known.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
SHARE = 0.9  # of what is there may be counted on: updates and environments need some


class Room(NamedTuple):
    """Bytes that may be counted on, of them none of the `promised` ones that other runs here are yet to take."""

    there: int
    promised: int


def memory_there(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that this process could still take, without swapping; None where that is not told.

    The least of what the system has (`MemAvailable`) and of what is left below the limit of each control group that
    the process is in, version 1 or 2. What a group holds of files that it could drop counts as free.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        (system,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError):
        return None
    return min([system, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    try:
        told = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in told:
        _, kinds, path = line.split(":", 2)
        if kinds == "":  # version 2
            names, root = ("memory.max", "memory.current", "inactive_file"), cgroups
        elif "memory" in kinds.split(","):
            names, root = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"), cgroups / "memory"
        else:
            continue
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            if (left := _left(place, *names)) is not None:
                yield left
            if place == root:
                break


def _left(group: Path, limit: str, used: str, droppable: str) -> int | None:
    """Return what is left below a group's limit; None where it has none, or is not there."""
    with suppress(OSError, ValueError):
        most, now = (int((group / name).read_text()) for name in (limit, used))
        files = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, most - now + int(files.get(droppable, 0)))
    return None


def promise(n_bytes: int, place: Path | None = None) -> Room | None:
    """Say for other runs here that this process will take so much more, if it fits; return what may be counted on.

    Nothing is said where it does not fit, and `withdraw` takes it back. None where nothing is known.
    """
    there = memory_there()
    if there is None:
        return None
    with _promises(place) as folder:
        others = 0 if folder is None else sum(_outstanding(path) for path in folder.iterdir() if path.name.isdecimal())
        room = Room(max(0, int(SHARE * there) - others), others)
        if folder is not None and n_bytes <= room.there:
            said = {"began": _began(os.getpid()), "bytes": n_bytes, "resident": _resident(os.getpid())}
            (folder / str(os.getpid())).write_text(json.dumps(said))
        return room


def withdraw(place: Path | None = None) -> None:
    """Take back what this process has promised."""
    with suppress(OSError), _promises(place) as folder:
        if folder is not None:
            (folder / str(os.getpid())).unlink(missing_ok=True)


@contextmanager
def _promises(place: Path | None) -> Iterator[Path | None]:
    """Hold the folder of promises, made if need be; None where it is not this user's, or cannot be made."""
    folder = place or Path(tempfile.gettempdir()) / f"memory-promises-{os.getuid()}"
    lock = None
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield None if lock is None else folder
    finally:
        if lock is not None:
            os.close(lock)


def _outstanding(path: Path) -> int:
    """Return what the process of a promise is yet to take; 0 if it is this one, or gone, and the promise with it."""
    pid = int(path.name)
    with suppress(OSError, ValueError, LookupError, TypeError):
        said = json.loads(path.read_text())
        if pid == os.getpid():
            return 0
        if _began(pid) == said["began"]:
            return max(0, said["bytes"] - max(0, _resident(pid) - said["resident"]))
    path.unlink(missing_ok=True)
    return 0


def _began(pid: int) -> int:
    """Return when a process began, in ticks since the machine did: with its number, that names it."""
    return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process holds itself, files left out."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    (held,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
    return held
