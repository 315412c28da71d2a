"""Environments and learners from outside: the names, and the settings files, that other packages register.

A package registers its own when a process of ours starts, by an entry point in the group `mmsa_pymarl`: a function
without arguments, which calls `mmsa_pymarl.register_env` and `register_learner`. A program may call them itself, too.
"""

import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from utils.errors import UserError

GROUP = "mmsa_pymarl"
FOLDER = "MMSA_CONFIGS"  # an environment variable: a folder with algs/ and envs/ of one's own
_files: dict[tuple[str, str], Path] = {}  # (algs, envs or protocols; name) -> file
_learners: dict[str, Any] = {}
_asked: list[bool] = []


def outside_files(folder: str) -> dict[str, Path]:
    """Return the registered settings files of one kind, by name."""
    _ask_packages()
    own = os.environ.get(FOLDER)
    found = sorted(Path(own, folder).glob("*.yaml")) if own else []
    return {path.stem: path for path in found} | {n: path for (kind, n), path in _files.items() if kind == folder}


def outside_learners() -> dict[str, Any]:
    """Return the registered learners by name: classes, or texts `module:Class`."""
    _ask_packages()
    return _learners


def add_file(folder: str, path: Path) -> None:
    """Register a settings file under its stem; again under the same name replaces it."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such settings file to register")
    _files[folder, path.stem] = path.resolve()


def add_learner(name: str, learner: Any) -> None:
    """Register a learner."""
    _learners[name] = learner


def _ask_packages() -> None:
    """Let the installed packages register what they have, once in a process's life."""
    if _asked:
        return
    _asked.append(True)
    for point in entry_points(group=GROUP):
        _ask(point)


def _ask(point: EntryPoint) -> None:
    try:
        point.load()()
    except Exception as why:
        package = point.dist.name if point.dist is not None else "a package"
        raise UserError(
            f"{package} cannot register what it has for {GROUP} (entry point {point.name} = {point.value}): "
            f"{type(why).__name__}: {why}; mend or uninstall it"
        ) from why
