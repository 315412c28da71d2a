"""Which code this is."""

import subprocess
from pathlib import Path

from utils.naming import SRC, built


def commit_of(folder: Path) -> str:
    """Return the git commit that the code in `folder` is at, with `+changes` if it differs; `unknown` without git.

    Of an installed package it is the commit that it was built from: git would speak of what it is installed in.
    """
    if (said := built()) and folder == SRC:
        return said["commit"]
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def changed_since(folder: Path, commit: str) -> list[str]:
    """Return the files in `folder`, by paths from there, that differ from a commit; none where git cannot tell."""
    if built() and folder == SRC:
        return []
    try:
        said = _git(folder, "diff", "--name-only", "--relative", commit.removesuffix("+changes"), "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return []
    return said.splitlines()


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
