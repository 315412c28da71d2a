"""Which of the packages that a requirements file names are installed, in which version."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """A line of a requirements file, without its comment, and the version that is installed, or None."""

    line: str
    name: str
    installed: str | None

    def differs(self) -> bool:
        """Say whether another version is installed than a line with == asks for; a local part as +cpu is no other."""
        _, pinned, wanted = self.line.partition("==")
        return bool(pinned) and self.installed is not None and self.installed.partition("+")[0] != wanted


def packages_of(file: Path) -> list[Package]:
    """Return what a requirements file names itself, files that it includes left out."""
    lines = (line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    wanted = [line for line in lines if line and line[0] not in "#-"]
    return [_package(line) for line in wanted]


def _package(line: str) -> Package:
    name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
    try:
        return Package(line, name, version(name))
    except PackageNotFoundError:
        return Package(line, name, None)
