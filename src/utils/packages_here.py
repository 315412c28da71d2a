"""Imported first by every command: ends it with one line where this Python lacks the packages, and names one that has.

Nothing but the standard library is imported here, and nothing that older Pythons cannot read is written.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("torch", "numpy", "yaml", "sacred", "safetensors", "tqdm")  # of requirements.txt, by the names of imports
OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"  # where `make demo` puts them


def complaint(python: str, version: tuple, missing: list, has: "str | None", command: list) -> str:
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


def _python_of(venv: Path) -> "str | None":
    """Return the Python of a virtual environment that has Torch, as a command to type; None where it has not."""
    python = venv / "bin" / "python"
    if not python.exists() or not list(venv.glob("lib/python*/site-packages/torch")):
        return None
    try:
        return str(python.relative_to(Path.cwd()))
    except ValueError:  # commands are given from elsewhere
        return str(python)


def _check() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing or sys.version_info < OLDEST:
        said = complaint(sys.executable, tuple(sys.version_info), missing, _python_of(VENV), sys.argv)
        print(said, file=sys.stderr)
        sys.exit(2)


_check()
