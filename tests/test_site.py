"""The site of docs/ is made without a link that leads nowhere, and what the tutorial says can be typed in its order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import main
from settings import parse_command_line, resolve

ROOT = Path(main.__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
TYPED = [shlex.split(line) for line in re.findall(r"^    mmsa (.*)$", TUTORIAL, re.M)]
STUDY = re.search(r"^```yaml\n(.*?)^```", TUTORIAL, re.M | re.S)[1]


def test_the_site_is_made(tmp_path):
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"], cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "load_agents" in (tmp_path / "site" / "api.html").read_text()
    assert (tmp_path / "site" / "search" / "search_index.js").stat().st_size > 100_000


def test_the_tutorial_trains_as_it_says():
    assert len(TYPED) > 8
    for _, *words in (words for words in TYPED if words[0] == "train"):
        command = parse_command_line(words, main.CONFIG_DIR)
        resolve(command.config, command.env_config, command.updates, main.CONFIG_DIR)


@pytest.mark.slow
def test_the_tutorial_in_its_order(tmp_path):
    """With a fiftieth of its steps."""
    shorter = STUDY.replace("20000", "400").replace("10000", "200").replace("2000", "100")
    (tmp_path / "small.yaml").write_text(shorter + "  look_interval: 1\n")
    for words in TYPED:
        words = [word.replace("t_max=2000", "t_max=200").replace("=500", "=100") for word in words]
        command = [sys.executable, ROOT / "src" / "mmsa_pymarl", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or words[:2] == ["study", "diff"], f"{words}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "report" / "index.html").is_file() and (tmp_path / "curves.png").is_file()
