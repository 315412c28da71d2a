"""What is printed, written to a file as well, at once: who is killed leaves its last line there too."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class _Through:
    """A stream that also appends what is written to it to a file; everything else is the stream's own."""

    def __init__(self, stream: TextIO, copy: Callable[[str], None], unread: Callable[[], None]) -> None:
        self._stream, self._copy, self._unread = stream, copy, unread

    def write(self, text: str) -> int:
        """Write to the stream, at once, and to the file."""
        self._copy(text)
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._unread()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printed_to(path: Path, failed: Callable[[OSError], None], unread: Callable[[], None]) -> Iterator[None]:
    """Append to a file whatever is printed meanwhile; where that cannot be, tell `failed` and go on without.

    `unread` is told when whoever read what is printed has gone; the file gets all the same.
    """
    file: TextIO | None = None

    def copy(text: str) -> None:
        nonlocal file
        try:
            if file is None:
                file = path.open("a", encoding="utf-8")
            file.write(text)
            file.flush()
        except OSError as why:
            failed(why)

    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Through(stream, copy, unread) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        if file is not None:
            try:
                file.close()
            except OSError as why:
                failed(why)
