"""A wheel, built and unpacked away from the checkout: its command trains, and its archive names version and commit."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import try_install
import yaml
from packaging.version import Version

import main
from training.code import _digests

REPOSITORY = Path(main.__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
METADATA = BUILD.replace("build_wheel", "prepare_metadata_for_build_wheel")
VERSION = "0.2.dev0"  # what is built without git, see pyproject.toml
EXTRAS = {"smax", "vmas", "mamujoco", "gymma", "report", "ray", "search", "watch", "export", "wandb", "parquet", "all"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that pip would unpack the wheel into."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "src", "pyproject.toml", "setup.py", "MANIFEST.in",
         "README.md", "LICENSE", ":(glob)requirements*.txt"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in kept:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((REPOSITORY / name).read_bytes())
    (source / "src" / "built.json").write_text(json.dumps({"version": "0", "commit": "c" * 40}))  # as an sdist has it
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def mmsa(site, cwd, *words):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "mmsa_pymarl", *words], cwd=cwd, capture_output=True, text=True, check=False,
        env=env | {"PYTHONPATH": str(site)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_wheel_holds_what_a_run_needs_and_no_more(site):
    top = {path.name for path in site.iterdir()}
    assert {name.partition("-")[0] for name in top} == {"mmsa_pymarl"}
    package = site / "mmsa_pymarl"
    for name in ("py.typed", "requirements.txt", "src/config/default.yaml", "src/comparison/published.yaml",
                 "src/watching/watch.js", "src/watching/watch.html"):
        assert (package / name).is_file(), name
    assert not list(site.rglob("*.pyc")) and not (package / "src" / "mmsa_pymarl").exists()
    (metadata,) = site.glob("*.dist-info/METADATA")
    said = metadata.read_text().splitlines()
    assert {line.split()[1] for line in said if line.startswith("Provides-Extra")} == EXTRAS
    named = [line.partition("#")[0].strip() for line in (REPOSITORY / "requirements.txt").read_text().splitlines()]
    needed = [line.split(": ")[1] for line in said if line.startswith("Requires-Dist") and "extra" not in line]
    assert len(needed) == len([line for line in named if line])


def test_every_extra_is_tried_by_commands_of_its_own():
    """`scripts/try_install.py` installs each; what is in `all` stands in pyproject.toml."""
    assert set(try_install.WITH) | {"all"} == EXTRAS
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    files = {name: found["file"] for name, found in table["optional-dependencies"].items()}
    together = files.pop("all")
    assert {name for name, file in files.items() if file not in together} == set(try_install.ASIDE)
    for extra in EXTRAS:
        assert {given.code == 2 for given in try_install.commands_of(extra)} == {False, True}, extra


def test_the_version_is_the_last_tag_s(site, tmp_path):
    source = site.parent / "source"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    commands = (["init", "-q"], ["add", "pyproject.toml", "setup.py"], ["commit", "-qm", "a"], ["tag", "v9.9.9"])
    for words in commands:
        subprocess.run([*git, *words], cwd=source, check=True)
    try:
        subprocess.run([sys.executable, "-c", METADATA, tmp_path], cwd=source, check=True, capture_output=True)
    finally:
        shutil.rmtree(source / ".git")
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    assert "Version: 9.9.9" in metadata.read_text().splitlines()


def test_one_who_cites_is_told_the_version_that_is_built():
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"]
    assert Version(cited) == Version(Version(VERSION).base_version)


def test_its_command_trains_with_workers_beside_files_of_the_same_names(site, tmp_path):
    for name in ("utils.py", "settings.py", "training.py"):
        (tmp_path / name).write_text("raise RuntimeError('somebody else\\'s')\n")
    words = "batch_size_run=2 batch_size=2 test_nepisode=2 t_max=8 device=cpu runner=parallel".split()
    code, said, why = mmsa(site, tmp_path, "train", "--config=qmix", "--env-config=matrix_game", "with", *words)
    assert code == 0, why
    (folder,) = tmp_path.glob("results/sacred/one_step/qmix/1")
    info = json.loads((folder / "info.json").read_text())
    assert info["commit"] == "c" * 40 and info["packages"]["mmsa-pymarl"] == VERSION
    assert info["source"].items() >= _digests(("main", "training.archive", "training.going_on")).items()
    code, _, why = mmsa(site, tmp_path, "train", "--config=qmux", "--env-config=lbf")
    assert code == 2 and "did you mean qmix" in why
    code, said, _ = mmsa(site, tmp_path, "--version")
    assert (code, said) == (0, f"mmsa-pymarl {VERSION} (cccccccccccc)\n")


def test_settings_files_are_found_by_what_lies_beside_them(site, tmp_path):
    code, said, why = mmsa(site, tmp_path, "settings", "--config=mmsa", "--env-config=lbf")
    assert code == 0 and "\nrollout_horizon = " in said, why
    code = "import mmsa_pymarl as m, sys; sys.exit(len(m.make_env('matrix_game').get_avail_actions()) != 2)"
    env = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)


NEWER = sorted((Path.home() / ".pyenv" / "versions").glob("3.1[2-9].*/bin/python"))


@pytest.mark.skipif(not NEWER, reason="no newer Python here")
def test_newer_pythons_read_it(site):
    code = "import ast, pathlib, sys; [ast.parse(p.read_bytes()) for p in pathlib.Path(sys.argv[1]).rglob('*.py')]"
    for python in NEWER:
        subprocess.run([python, "-W", "error", "-c", code, site], check=True)
        done = subprocess.run([python, "-m", "mmsa_pymarl", "--version"], cwd=site, capture_output=True, check=True)
        assert done.stdout.startswith(f"mmsa-pymarl {VERSION}".encode())
