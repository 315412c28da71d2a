"""How a program of ours ends: what is said, and with which exit code."""

from __future__ import annotations  # the plugin's installer runs on Python 3.8

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from utils.errors import PassingError, RunFailedError, UnreadableError, UserError

FAILED, MISTAKE, UNREADABLE, PASSING = 1, 2, 3, 75  # the last is EX_TEMPFAIL of sysexits.h


def how_it_ended(code: int | None) -> str:
    """Return how a child process ended, by its exit code: the name of a signal, or the code."""
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def exit_code(work: Callable[[], None], interrupted: str) -> int:
    """Do the work and return 0, or what tells why it was not done.

    1: a run failed. 2: the user's mistake. 3: an archive that cannot be gone on from. 75: trouble that may pass. 128
    and a signal's number: it was asked to stop (130 by Ctrl-C, 143 by SIGTERM), or nobody reads any more what it prints
    (141, for SIGPIPE: `| head`), of which nothing is said. What went wrong is the last line on stderr; `interrupted`
    says what a stop has left.
    """
    try:
        code = _code(work, interrupted)
        sys.stdout.flush()
    except SystemExit:  # after --help
        if nobody_reads():
            return _unread()
        raise
    except BrokenPipeError:  # or that of a pipe of somebody else
        if not nobody_reads():
            raise
        return _unread()
    return code


def nobody_reads() -> bool:
    """Say whether stdout is a pipe whose reader has gone."""
    with suppress(OSError, ValueError):  # no file at all
        looked = select.poll()
        looked.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in looked.poll(0))
    return False


def _unread() -> int:
    """Let what is still to be printed go nowhere, and return the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 128 + signal.SIGPIPE


def _code(work: Callable[[], None], interrupted: str) -> int:
    try:
        work()
    except UserError as mistake:
        for note in getattr(mistake, "__notes__", ()):
            print(note, file=sys.stderr)
        print(f"error: {mistake}", file=sys.stderr)
        return UNREADABLE if isinstance(mistake, UnreadableError) else MISTAKE
    except RunFailedError as failure:
        for note in getattr(failure, "__notes__", ()):
            print(note, file=sys.stderr)
        print(f"error: {failure}", file=sys.stderr)
        return PASSING if isinstance(failure, PassingError) else FAILED
    except KeyboardInterrupt as stop:
        if (signum := getattr(stop, "signum", signal.SIGINT)) == signal.SIGPIPE:
            return _unread()
        print(f"interrupted: {interrupted}", file=sys.stderr)
        return 128 + signum
    return 0
