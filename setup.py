"""What pyproject.toml cannot say of a wheel: everything in src/ goes into one package, with the commit it is of."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
SRC = ROOT / "src"
BUILT = "built.json"  # read by utils/naming.py


def git(*words: str) -> str:
    """Return what git says of this folder."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def commit() -> str:
    """Return the commit that is built; what an unpacked sdist says of itself; `unknown` where nothing does."""
    if (SRC / BUILT).is_file():
        return json.loads((SRC / BUILT).read_text())["commit"]
    try:
        if Path(git("rev-parse", "--show-toplevel")) != ROOT:  # the repository of whoever unpacked this there
            return "unknown"
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_built(folder: Path, version: str) -> None:
    """Write which version and commit the code in `folder` is."""
    (folder / BUILT).write_text(json.dumps({"version": version, "commit": commit()}) + "\n")


class BuildHouse(build_py):
    """Puts src/ as it is into the package, and the lists of packages that the doctor and its advice read."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "mmsa_pymarl"
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "mmsa_pymarl", BUILT)
        shutil.rmtree(package / "src", ignore_errors=True)
        shutil.copytree(SRC, package / "src", ignore=ignored)
        write_built(package / "src", self.distribution.get_version())
        for path in ROOT.glob("requirements*.txt"):
            shutil.copy(path, package)


class Sdist(sdist):
    """An sdist has no git, so it says which commit it is of."""

    def make_release_tree(self, base_dir: str, files: Any) -> None:
        """Lay out the files."""
        super().make_release_tree(base_dir, files)
        write_built(Path(base_dir) / "src", self.distribution.get_version())


setup(cmdclass={"build_py": BuildHouse, "sdist": Sdist})
