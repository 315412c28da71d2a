"""Changes to the files of a folder, made all together or not at all."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

STAGING = ".mmsa.partial"


@dataclass(frozen=True)
class Change:
    """A file that is to hold `new`, or is to go (None). `kind` says what happens, for those who read the plan."""

    kind: str
    path: Path
    new: bytes | None


def apply(changes: Sequence[Change], folder: Path) -> None:
    """Make the changes in their order; `UserError` when one cannot be made, and then none is.

    All new contents lie ready in `folder` before the first file is touched, and Ctrl-C and SIGTERM wait. A process that
    is killed between two files leaves the first ones changed, each of them whole.
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
            _make(changes, staging)
        except OSError as why:
            raise UserError(f"{why.filename}: {why.strerror}; nothing was changed") from why
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
    done = []
    try:
        for number, change in enumerate(changes):
            path = change.path.resolve()  # a link stays one
            done.append((path, staging / f"{number}.old"))
            if change.new is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / f"{number}.new", path)
    except OSError:
        for path, old in reversed(done):
            if old.exists():
                os.replace(old, path)
            else:
                path.unlink(missing_ok=True)
        remove_empty({path.parent for path, _ in done})
        raise


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
