"""Files that appear whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from utils.errors import UserError


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
