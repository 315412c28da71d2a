"""Files of a results folder, read so that none outside of it ever is: links are not followed, wherever they stand."""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 2**28  # bytes of a file that is read
STEPS = re.compile(r"t_(\d{1,18})")


class OutsideError(OSError):
    """A file is none of the folder's own."""


def opened(root: Path, path: Path) -> BinaryIO:
    """Return a plain file below `root`, a resolved folder, open for reading; raise `OSError` for everything else."""
    if not _is_beneath(root, path.parent):
        raise OutsideError(f"{path} lies outside {root}")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
        os.close(descriptor)
        raise OutsideError(f"{path} is no plain file, or a huge one")
    return os.fdopen(descriptor, "rb")


def read_bytes(root: Path, path: Path) -> bytes:
    """Return what a file below `root` holds."""
    with opened(root, path) as file:
        return file.read()


def load_json(root: Path, path: Path) -> Any:
    """Return what a file of JSON below `root` holds; raises `ValueError` where it is none."""
    return json.loads(read_bytes(root, path))


def last_lines(root: Path, path: Path, count: int, most: int = 2**15) -> list[str]:
    """Return the last lines of a text, out of its last `most` bytes; none where it cannot be read."""
    try:
        with opened(root, path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - most, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = text.splitlines()
    return (lines[1:] if size > most else lines)[-count:]


def signature(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_beneath(root: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(root)


def by_steps(root: Path, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the folders `t_<steps>` of a folder below `root`, the last one first; none where it cannot be listed."""
    if not _is_beneath(root, folder):
        return
    try:
        found = [(m, entry) for entry in os.scandir(folder) if (m := STEPS.fullmatch(entry.name))]
        folders = [(int(m[1]), Path(entry.path)) for m, entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from sorted(folders, reverse=True)
