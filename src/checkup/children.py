"""Trying something in a process of its own: a native library that crashes or hangs takes nothing else with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from utils.exits import how_it_ended


class Ended(NamedTuple):
    """What a process wrote, and why it ended before its time: empty when it did not."""

    out: str
    why: str


class Child:
    """A process in a folder of its own below `folder`, where whatever it writes is thrown away with it."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder / str(len(list(folder.iterdir())))
        self._folder.mkdir()
        self._started = time.monotonic()
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
        with (self._folder / "out").open("w") as out, (self._folder / "err").open("w") as err:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )  # fmt: skip

    def wait(self, limit: float) -> Ended:
        """Wait until it ends, or has run for `limit` seconds, and end what it may have started."""
        try:
            code = self._process.wait(max(0.0, self._started + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return Ended(self._read("out"), f"no answer within {limit:.0f} s")
        self.kill()
        return Ended(self._read("out"), self._reason(code) if code else "")

    def kill(self) -> None:
        """End the process and those that it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # all have ended
        self._process.wait()

    def _reason(self, code: int) -> str:
        said = [line.strip() for line in self._read("err").splitlines() if line.strip()]
        if code < 0:
            return f"crashed with {how_it_ended(code)}"
        return said[-1][:300] if said else f"ended with exit code {code}"

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8", errors="replace")


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended, so that no process is begun and then lost sight of.

    Blocking the signal would not do: another thread would take it (NumPy has one), and interrupt this one.
    """
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda signum, _: came.append(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
