"""Files that appear whole or not at all."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError

from utils.errors import PassingError, RunFailedError, UserError, may_pass


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place; who looks sees the old file or the new one.

    So does who looks after a power cut: it is on the disk before it gets its name.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        flush(partial)
        os.replace(partial, path)
        flush(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)  # a full disk needs the room
        raise


def make_folder(path: Path) -> None:
    """Make a folder, in one that is there; its name is on the disk when this returns."""
    if not path.is_dir():
        path.mkdir()
        flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk, so that it is there after a power cut too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Answer for what cannot be written, for lack of room or of rights, with one line; a `RunFailedError`."""
    try:
        yield
    except (OSError, SafetensorError) as why:
        raise unwritable(path, why) from why


def unwritable(path: Path, why: Exception) -> RunFailedError:
    """Return the error that ends a run which cannot write to `path`."""
    reason = getattr(why, "strerror", None) or str(why)
    kind = PassingError if may_pass(why) else RunFailedError
    return kind(
        f"cannot write {path}: {reason}; what was saved before is whole: see to room and rights there, then go on with "
        "resume=<the run's folder>"
    )


@contextmanager
def unfinished(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Give a place for files to be written in, and move those named to `folder` if nothing goes wrong.

    The folder is made if need be, and goes away again if something does; `UserError` says when it cannot be written,
    before anything else is done.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = TemporaryDirectory(dir=folder, prefix=".partial-")
    except OSError as why:
        _take_away(made)
        raise UserError(f"--out {folder}: cannot write there ({why.strerror})") from why
    try:
        with place:
            yield Path(place.name)
            for name in names:
                os.replace(Path(place.name) / name, folder / name)
    except BaseException:
        _take_away(made)
        raise


def _take_away(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, that are there and in which nobody has put anything meanwhile."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
