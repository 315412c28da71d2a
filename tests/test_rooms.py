"""The rooms import each other as docs/architecture.md says, and `lint-imports` would say so if they did not."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rooms")
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.yaml"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def lint(folder):
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run([LINT, "--no-cache"], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_rooms_as_they_are_keep_every_contract(copied):
    done = lint(copied)
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout


def test_every_file_of_the_settings_lies_behind_their_door():
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (door,) = [contract for contract in contracts if contract["id"] == "door"]
    files = {f"settings.{path.stem}" for path in (REPOSITORY / "src" / "settings").glob("*.py")}
    assert set(door["protected_modules"]) == files - {"settings.__init__"}


@pytest.mark.parametrize(("file", "line", "contract"), [
    ("components/episode_rows.py", "import learners.targets", "Arrows point one way"),
    ("modules/sale.py", "from utils.errors import UserError", "Modules and components know nothing"),
    ("learners/targets.py", "from envs import make_env", "Learners and controllers know nothing"),
    ("runners/vector_runner.py", "import modules.sale", "Runners play episodes"),
    ("training/loop.py", "from settings.config import resolve", "through the door"),
    ("training/loop.py", "from settings.outside import add_file", "through the door"),
    ("envs/lbf_game.py", "import envs.lbf", "No circles"),
])  # fmt: skip
def test_an_import_that_a_contract_forbids_is_told(file, line, contract, copied):
    path = copied / "src" / file
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    try:
        done = lint(copied)
    finally:
        path.write_text(text)
    broken = [said for said in done.stdout.splitlines() if said.endswith("BROKEN")]
    assert done.returncode == 1 and any(contract in said for said in broken), done.stdout
