"""The Python that a host runs on: which it is, which Torch it has, and whether MMSA runs on them."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from utils.errors import UserError

PYTHON, TORCH = (3, 8), (1, 12)  # the oldest that MMSA runs on
ASK = """
import json, platform
try:
    from importlib.metadata import version
    torch = version("torch")
except ImportError:
    torch = None
print(json.dumps([platform.python_version(), torch]))
"""


def described(python: str | None) -> str:
    """Return which Python and Torch there are, in words; None stands for this Python, and may lack Torch.

    Raises `UserError` where MMSA would not run, so that nothing is written for nothing.
    """
    its, torch = _own() if python is None else _asked(python)
    found = f"Python {its} with torch {torch}" if torch else f"Python {its} without torch"
    if _numbers(its) < PYTHON or (torch is not None and _numbers(torch) < TORCH):
        raise UserError(f"MMSA needs Python 3.8 and torch 1.12 or later, and found {found}; nothing was changed")
    if torch is None and python is not None:
        raise UserError(f"{python}: {found}; give the Python that the host runs on")
    return found if torch else f"{found}: if the host runs on another, --python says what that has"


def _own() -> tuple[str, str | None]:
    try:
        return platform.python_version(), version("torch")
    except PackageNotFoundError:
        return platform.python_version(), None


def _asked(python: str) -> tuple[str, str | None]:
    try:
        said = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=60, check=True).stdout
        its, torch = json.loads(said)
    except (OSError, ValueError, subprocess.SubprocessError) as why:
        raise UserError(f"--python {python}: is no Python that answers ({type(why).__name__})") from why
    return its, torch


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
