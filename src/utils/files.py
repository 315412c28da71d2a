"""Files that appear whole or not at all."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from utils.errors import UserError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place; who looks sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    os.replace(partial, path)


@contextmanager
def unfinished(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Give a place for files to be written in, and move those named to `folder` if nothing goes wrong.

    The folder is made if need be; `UserError` says when it cannot be written, before anything else is done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = TemporaryDirectory(dir=folder, prefix=".partial-")
    except OSError as why:
        raise UserError(f"--out {folder}: cannot write there ({why.strerror})") from why
    with place:
        yield Path(place.name)
        for name in names:
            os.replace(Path(place.name) / name, folder / name)
