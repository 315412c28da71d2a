"""Exceptions that `main.py` prints as one line, and the hint that one of them usually carries."""

from __future__ import annotations  # the plugin's installer runs on Python 3.8

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in a setting, a name or a file: one line that says what is wrong and what to do.

    `main.py` prints it as `error: …`, after its notes (the traceback of somebody's task), and exits with code 2;
    nothing has been written by then.
    """


class RunFailedError(Exception):
    """Something ended a run: one line that says what. Notes (`add_note`) hold what is longer, a worker's traceback.

    `main.py` prints the notes, then the line as `error: …`, and exits with code 1; the archive keeps what was logged
    and saved until then.
    """


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return `a, b or c`: the known names closest to `name`, or all known names when none is close."""
    known = sorted(known)
    close = get_close_matches(name, known, n=count, cutoff=0.5) or known
    return close[0] if len(close) == 1 else ", ".join(close[:-1]) + " or " + close[-1] if close else "nothing"
