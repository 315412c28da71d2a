"""Imported first by every command: ends it with one line where this Python lacks the packages, and names one that has.

Older Pythons can read this.
"""

import sys
from importlib.util import find_spec

from utils.pythons import OLDEST, VENV, complaint, python_of

NEEDED = ("torch", "numpy", "yaml", "sacred", "safetensors", "tqdm")  # of requirements.txt, by the names of imports


def _check() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing or sys.version_info < OLDEST:
        said = complaint(sys.executable, sys.version_info[:3], missing, python_of(VENV), sys.argv)
        print(said, file=sys.stderr)
        sys.exit(2)


_check()
