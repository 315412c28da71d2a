"""Every registered suite, tried in a process of its own by `try_suite.py`, and what came of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from checkup.children import Child, Ended
from checkup.finding import FAILS, NOTE, WORKS, Finding

TRY = Path(__file__).with_name("try_suite.py")
TASKS = {  # of gymma, beside the one that its config names: they need packages of their own
    "mpe": ("gymma", "env_args.key=pz-mpe-simple-spread-v3", "env_args.kwargs.continuous_actions=True"),
    "vmas": ("gymma", "env_args.key=vmas-balance"),
}
OPENGL = "apt install libegl1 libgl1-mesa-dri"  # Mesa draws without a GPU, too; Debian and Ubuntu


def start_suite(name: str, folder: Path) -> Child:
    """Begin to try a suite with the settings of its config, or one of `TASKS`."""
    return Child([sys.executable, str(TRY), *TASKS.get(name, (name,))], folder)


def suite_of(name: str) -> str:
    """Return the registered suite that is tried under a name."""
    return TASKS[name][0] if name in TASKS else name


def suite(name: str, ended: Ended) -> list[Finding]:
    """Say whether a suite plays, and whether its pictures can be drawn."""
    told = dict(json.loads(line) for line in ended.out.splitlines())
    if "refused" in told:
        command = re.search(r"`([^`]+)`", told["refused"])
        return [Finding(FAILS, name, told["refused"], command[1] if command else "")]
    if "plays" not in told:
        return [Finding(FAILS, name, ended.why or "ended without a word")]
    plays = Finding(WORKS, name, told["plays"])
    if "draws" in told:
        return [plays._replace(said=f"{plays.said}; pictures of {told['draws']}")]
    if "draws nothing" in told:
        return [plays]
    why = told.get("cannot be drawn") or ended.why
    return [plays, Finding(NOTE, f"{name}, pictures", why, OPENGL if "OpenGL" in why or name == "mamujoco" else "")]
