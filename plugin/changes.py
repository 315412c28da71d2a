"""Changes to the files of a folder, made all together or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

STAGING = ".mmsa.partial"


def told(work: Callable[[], Sequence[str]]) -> None:
    """Do the work and print the lines that it returns. What may not be read is one line, a `UserError`."""
    try:
        lines = work()
    except OSError as why:
        raise UserError(f"{why.filename}: {why.strerror}; nothing was changed") from why
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
        print("nobody read to its end what was done; it is done", file=sys.stderr)


@dataclass(frozen=True)
class Change:
    """A file that is to hold `new`, or is to go (None). `kind` says what happens, for those who read the plan."""

    kind: str
    path: Path
    new: bytes | None


def apply(changes: Sequence[Change], folder: Path) -> None:
    """Make the changes in their order; `UserError` when one cannot be made, and then none is.

    All new contents lie ready in `folder` before the first file is touched, and Ctrl-C and SIGTERM wait. A process that
    is killed between two files leaves the first ones changed, each of them whole. So does one that may not take back
    what it may do; the error then names the files.
    """
    staging = folder / STAGING
    with _signals_wait():
        try:
            shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
            if not changes:
                return
            staging.mkdir()
            for number, change in enumerate(changes):
                _stage(change, staging / f"{number}.new", staging / f"{number}.old")
        except OSError as why:
            shutil.rmtree(staging, ignore_errors=True)
            raise UserError(f"{why.filename}: {why.strerror}; nothing was changed") from why
        try:
            _make(changes, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _stage(change: Change, new: Path, old: Path) -> None:
    if change.path.exists():
        shutil.copy2(change.path, old)
    if change.new is not None:
        new.write_bytes(change.new)
        if old.exists():
            shutil.copymode(old, new)


def _make(changes: Sequence[Change], staging: Path) -> None:
    done: list[tuple[Path, Path]] = []
    for number, change in enumerate(changes):
        try:
            path = change.path.resolve()  # a link stays one
            if change.new is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / f"{number}.new", path)
        except OSError as why:
            left = _take_back(done)
            remove_empty({change.path.resolve().parent for change in changes})
            raise UserError(f"{change.path}: {why.strerror}; {_said_of(left)}") from why
        done.append((path, staging / f"{number}.old"))


def _take_back(done: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Bring the files back as they were, last ones first, and return those that could not be."""
    left = []
    for path, old in reversed(done):
        try:
            if old.exists():
                os.replace(old, path)
            else:
                path.unlink()
        except OSError:
            left.append(path)
    return left


def _said_of(left: Sequence[Path]) -> str:
    if not left:
        return "nothing was changed"
    return f"could not be taken back: {', '.join(map(str, left))}; see to rights there, then run it again"


def remove_empty(folders: set[Path]) -> None:
    """Remove those of the folders that are empty, and then empty ones above them."""
    for folder in folders:
        while folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


@contextmanager
def _signals_wait() -> Iterator[None]:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
