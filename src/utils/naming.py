"""How things are called where this runs: `python src/main.py` in a checkout, `mmsa train` where it is installed.

Nothing but the standard library is imported, and older Pythons can read this.
"""

from __future__ import annotations

import json
from pathlib import Path

SRC = Path(__file__).parents[1]
BUILT = SRC / "built.json"  # written where a wheel is built, see setup.py
INSTALLED = BUILT.is_file()
_WORDS = {"main": "train", "inspect_world_model": "inspect"}  # others are called as their files are


def typed(command: str) -> str:
    """Return what is typed for a command of ours, `main` for one."""
    return f"mmsa {_WORDS.get(command, command)}" if INSTALLED else f"python src/{command}.py"


def to_install(requirements: str) -> str:
    """Return what installs the packages of a requirements file, which may have options behind its name."""
    name = requirements.split()[0].removesuffix(".txt").removeprefix("requirements").lstrip("-")
    if not INSTALLED:
        return f"pip install -r {requirements}"
    if "--no-deps" in requirements:  # its packages ask for what cannot be had, so pip is told not to ask
        return f"pip install -r {SRC.parent / requirements}"
    return f"pip install 'mmsa-pymarl[{name}]'" if name else "pip install --force-reinstall mmsa-pymarl"


def built() -> dict[str, str]:
    """Return the version and the commit that an installed package was built from; nothing in a checkout."""
    return json.loads(BUILT.read_text(encoding="utf-8")) if INSTALLED else {}
