"""Which Python has the packages. Nothing but the standard library is imported, and older Pythons can read this."""

from __future__ import annotations

from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"  # where `make demo` puts them


def complaint(python: str, version: tuple[int, ...], missing: list[str], has: str | None, command: list[str]) -> str:
    """Return the line that says what is amiss with a Python, and what to do; "" where nothing is.

    `has` is another Python that has the packages, if there is one; `command` the words after the Python's name.
    """
    here = f"this Python, {python}, is {'.'.join(map(str, version[:2]))}"
    if version[:2] < OLDEST:
        what = f"{here}; {'.'.join(map(str, OLDEST))} or later is needed"
    elif missing:
        what = f"{here} and has no {missing[0]}"
    else:
        return ""
    if has is None:
        return f"error: {what}; make demo sets up {VENV} with all packages, or: pip install -r requirements.txt"
    return f"error: {what}; {has} has all packages: {' '.join([has, *command])}"


def python_of(venv: Path) -> str | None:
    """Return the Python of a virtual environment that has Torch, as a command to type; None where it has not."""
    python = venv / "bin" / "python"
    if not python.exists() or not list(venv.glob("lib/python*/site-packages/torch")):
        return None
    try:
        return str(python.relative_to(Path.cwd()))
    except ValueError:  # commands are given from elsewhere
        return str(python)
