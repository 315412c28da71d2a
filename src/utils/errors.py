"""Exceptions that `main.py` prints as one line, and the hint that one of them usually carries."""

from __future__ import annotations  # the plugin's installer runs on Python 3.8

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches

# A disk, a file system on the network or a table of the kernel that has no room or no answer now.
_PASSES = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EAGAIN, errno.EMFILE,
    errno.ENFILE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN, errno.EBUSY,
}  # fmt: skip


class UserError(Exception):
    """A mistake in a setting, a name or a file: one line that says what is wrong and what to do.

    `main.py` prints it as `error: …`, after its notes (the traceback of somebody's task), and exits with code 2;
    nothing has been written by then.
    """


class UnreadableError(UserError):
    """A run's folder holds nothing that can be gone on from, and something that is worth keeping: exit code 3."""


class RunFailedError(Exception):
    """Something ended a run: one line that says what. Notes (`add_note`) hold what is longer, a worker's traceback.

    `main.py` prints the notes, then the line as `error: …`, and exits with code 1; the archive keeps what was logged
    and saved until then.
    """


class PassingError(RunFailedError):
    """Trouble that may pass, with no mistake in what was asked: the same command may do later. Exit code 75.

    A full disk, memory that another job has, a game that is not there for a minute, another process in the same folder.
    """


def may_pass(why: Exception) -> bool:
    """Say whether the system may answer otherwise later. The error of safetensors has the number in its text."""
    said = re.search(r"os error (\d+)", str(why))
    number = why.errno if isinstance(why, OSError) else int(said[1]) if said else None
    return number in _PASSES


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return `a, b or c`: the known names closest to `name`, or all known names when none is close."""
    known = sorted(known)
    close = get_close_matches(name, known, n=count, cutoff=0.5) or known
    return close[0] if len(close) == 1 else ", ".join(close[:-1]) + " or " + close[-1] if close else "nothing"
