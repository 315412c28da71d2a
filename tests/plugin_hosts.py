"""Hosts to install the plugin in: miniatures of PyMARL2 and EPyMARL, and the real ones where there is a checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOSTS = Path(__file__).parent / "hosts"
REPOSITORY = HOSTS.parents[1]
REGISTRIES = [f"src/{room}/__init__.py" for room in ("modules/agents", "controllers", "learners")]
MINUTES = 60.0


def miniature(name, folder):
    """Put a miniature of a host into a folder."""
    for part in ("common", name):
        shutil.copytree(HOSTS / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def python(root, *words, timeout=2 * MINUTES, **environment):
    """Run Python in a host and return what it printed; fail with that if it fails."""
    told = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, *map(str, words)]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=timeout, env=told)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr if "src/main.py" in words and (root / "LICENSE").exists() else run.stdout


def bash_lines(page, below):
    """Return the indented lines of a page of the docs that follow a heading."""
    lines = (REPOSITORY / "docs" / page).read_text().split(f"\n## {below}\n")[1].split("\n## ")[0].splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


def checkout(variable, folder):
    """Copy the checkout that an environment variable points to, or skip the test."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    shutil.copytree(os.environ[variable], folder, ignore=shutil.ignore_patterns(".git", "results", "__pycache__"))
    return folder
