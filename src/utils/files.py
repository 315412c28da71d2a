"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place; who looks sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    os.replace(partial, path)
