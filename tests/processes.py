"""Processes as the kernel sees them, and commands that can be interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WAIT = 30.0  # seconds; a machine under load starts processes slowly


def workers() -> set[int]:
    """Process ids of this process's environment workers."""
    return {pid for pid in children() if is_worker(pid)}


def children() -> set[int]:
    """Process ids of this process's children."""
    mine = str(os.getpid())
    return _processes(lambda stat: stat[1] == mine)


def group(pgid: int) -> set[int]:
    """Process ids of a process group."""
    return _processes(lambda stat: stat[2] == str(pgid))


def is_worker(pid: int) -> bool:
    """Say whether a process was spawned by multiprocessing to run our code."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _processes(wanted: Callable[[list[str]], bool]) -> set[int]:
    """Ids of the running processes whose (state, parent, group, …) is wanted; zombies have ended."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            if stat[0] != "Z" and wanted(stat):
                found.add(int(entry.name))
    return found


def wait_until(condition: Callable[[], object], seconds: float = WAIT) -> None:
    """Wait for something to become true, and fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def running(*command: object) -> Iterator[subprocess.Popen]:
    """Run Python with these arguments in a process group of its own, which Ctrl-C reaches and which ends with the test.

    Started from a shell's background, the tests themselves ignore Ctrl-C, and would pass that on.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # all have ended, as they should
                os.killpg(process.pid, signal.SIGKILL)
