"""The wheel, installed into clean environments, does what docs/install.md says: `python scripts/try_install.py`.

Builds sdist and wheel with `python -m build` (pip install build), then makes one virtual environment for the wheel
alone and one for each of its extras alone, and gives its commands to each, from a folder that has nothing to do with
the checkout: right ones, and one with a typo for each command, which has to be answered in one line, with exit code 2.
Takes a minute or two for each extra. Exit code 1 where anything fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
TINY = "t_max=40 test_interval=20 test_nepisode=2 log_interval=20 batch_size=4 batch_size_run=2 seed=1 device=cpu"
RUN, RUN_2 = "results/sacred/one_step/mmsa/1", "results/sacred/one_step/mmsa/2"
TRAINED = f"train --config=mmsa --env-config=matrix_game with {TINY}"
TRAINED_2 = TRAINED.replace("seed=1", "seed=2")
STUDY = """
algorithms: [qmix, vdn]
tasks: [{env_config: matrix_game}]
seeds: [1, 2]
settings: {t_max: 40, test_interval: 20, test_nepisode: 2, batch_size: 4, batch_size_run: 2, device: cpu}
"""
SEARCH = """
config: vdn
env_config: matrix_game
settings: {batch_size: 4, batch_size_run: 4, test_nepisode: 1, test_interval: 8, device: cpu}
t_max: 24
seeds: [1]
space:
  lr: {low: 0.0001, high: 0.1, log: true}
"""


class Given(NamedTuple):
    """A command line behind `mmsa`, the exit code it has to end with, and what it has to say.

    Where `page` is given, the line that it begins with names an address whose page holds that; then it gets Ctrl-C.
    """

    words: str
    code: int = 0
    says: str = ""
    page: str = ""


ALONE = [
    Given("--version", 0, "mmsa-pymarl "),
    Given(TRAINED, 0, f"archive: {RUN}"),
    Given("train resume=latest with t_max=60", 0, "test return"),
    Given("study run tiny.yaml --jobs 2"),
    Given("study status tiny.yaml", 0, "qmix"),
    Given("plot results --out curves.png", 0, "curves.png"),
    Given(f"record {RUN} --episodes 1", 0, "episodes.gif"),
    Given(f"inspect {RUN} --episodes 4", 0, "index.html"),
    Given("doctor matrix_game", 0, "matrix_game"),
    Given("settings --config=mmsa --env-config=lbf", 0, "rollout_horizon = "),
    Given("settings --config=mmsa --json-schema", 0, '"rollout_horizon"'),
    Given("completion bash", 0, "complete "),
    Given(f"export {RUN}", 2, "mmsa-pymarl[export]"),
    Given("report results", 2, "mmsa-pymarl[report]"),
    Given("export-results results", 2, "mmsa-pymarl[report]"),
    Given(f"crossplay {RUN} {RUN_2}", 2, "mmsa-pymarl[report]"),
    Given("watch results", 2, "mmsa-pymarl[watch]"),
    Given("study search space.yaml", 2, "mmsa-pymarl[search]"),
    Given(TRAINED + " runner=ray", 2, "mmsa-pymarl[ray]"),
    Given(f"train --config=mmsa --env-config=smax with {TINY}", 2, "mmsa-pymarl[smax]"),
    Given(f"train --config=mmsa --env-config=mamujoco with {TINY}", 2, "mmsa-pymarl[mamujoco]"),
    Given("train --config=qmix --env-config=gymma with env_args.key=vmas-balance env_args.time_limit=10", 2,
          "requirements-vmas.txt"),
    Given("trian", 2, "did you mean train"),
    Given("train --config=mmsaa --env-config=lbf", 2, "did you mean mmsa"),
    Given("train --config=mmsa --env-config=lbf with lrr=1", 2, "did you mean lr"),
    Given("study rnu tiny.yaml", 2, "'rnu'"),
    Given("study run tniy.yaml", 2, "tniy.yaml"),
    Given("plot results --metric test_retrn_mean", 2, "did you mean test_return"),
    Given(f"record {RUN} --episods 1", 2, "--episods"),
    Given("inspect reslts", 2, "no checkpoint here"),
    Given("doctor matrix_gmae", 2, "did you mean matrix_game"),
    Given("settings --config=mmsaa", 2, "did you mean mmsa"),
    Given("completion bahs", 2, "bahs"),
    Given("export reslts", 2, "no checkpoint here"),
]
WITH: dict[str, list[Given]] = {
    "smax": [Given(f"train --config=qmix --env-config=smax with env_args.map_name=3m {TINY}", 0, "test return"),
             Given("train --config=qmix --env-config=smax with env_args.map_name=3n", 2, "3m")],
    "mamujoco": [Given(f"train --config=qmix --env-config=mamujoco with {TINY}", 0, "test return"),
                 Given("train --config=qmix --env-config=mamujoco with env_args.scenario=Antt", 2, "Ant")],
    "gymma": [Given("train --config=qmix --env-config=gymma with env_args.key=pz-mpe-simple-spread-v3 "
                    f"env_args.time_limit=10 {TINY}", 0, "test return"),
              Given("train --config=qmix --env-config=gymma with env_args.key=pz-mpe-simple-spred-v3 "
                    "env_args.time_limit=10", 2, "simple-spred")],
    "vmas": [Given("train --config=qmix --env-config=gymma with env_args.key=vmas-balance "
                   f"env_args.time_limit=10 {TINY}", 0, "test return"),
             Given("train --config=qmix --env-config=gymma with env_args.key=vmas-balanse env_args.time_limit=10", 2,
                   "did you mean vmas-balance")],
    "report": [Given(TRAINED), Given(TRAINED_2), Given("report results --out report", 0, "index.html"),
               Given("report reslts", 2, "reslts"),
               Given("export-results results --out r.csv", 0, "r.csv"),
               Given("export-results reslts --out r.csv", 2, "reslts"),
               Given(f"crossplay {RUN} {RUN_2} --episodes 2", 0, "matrix.png"),
               Given(f"crossplay {RUN} {RUN_2} --episods 2", 2, "--episods")],
    "ray": [Given(TRAINED + " runner=ray", 0, "test return"),
            Given("study run tiny.yaml --ray local"), Given("study run tiny.yaml --rey local", 2, "--rey")],
    "search": [Given("study search space.yaml --trials 2", 0, "best"),
               Given("study search space.yaml --trails 2", 2, "--trails")],
    "watch": [Given(TRAINED), Given("watch results --port 0", 130, "Ctrl-C ends it", page="<h2>Runs in "),
              Given("watch reslts", 2, "reslts: no folder here")],
    "export": [Given(TRAINED), Given(f"export {RUN}", 0, "agents.onnx"), Given(f"export {RUN} --otu a", 2, "--otu")],
    "parquet": [Given(TRAINED), Given("export-results results --out r.parquet", 0, "rows"),
                Given("export-results results --out r.paquet", 2, ".parquet")],
    "wandb": [Given(TRAINED + " use_wandb=True wandb_mode=offline", 0, "test return"),
              Given(TRAINED + " use_wanbd=True", 2, "use_wandb")],
}  # fmt: skip
ASIDE = ("vmas",)  # extras that are no part of `all`, see docs/install.md


def commands_of(extra: str) -> list[Given]:
    """Return what is given where one extra is installed: "" is the wheel alone, `all` has the others' commands."""
    if not extra:
        return ALONE
    return [given for name in WITH if name not in ASIDE for given in WITH[name]] if extra == "all" else WITH[extra]


def built(folder: Path) -> Path:
    """Build the sdist, and the wheel from it, and return the wheel."""
    done = subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: no wheel was built:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def extras_of(wheel: Path) -> list[str]:
    """Return the extras that a wheel's metadata names."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return re.findall(r"^Provides-Extra: (\S+)$", file.read(name).decode(), re.M)


def installed(python: str, install: str, what: str, folder: Path) -> Path:
    """Make an environment with one requirement in it, and return its folder of commands."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    words = [word.format(python=folder / "bin" / "python") for word in shlex.split(install)]
    subprocess.run([*words, what], check=True)
    return folder / "bin"


def answered(given: Given, bin_folder: Path, folder: Path) -> str:
    """Give a command, and return what is wrong with its answer; "" where it is as it should be."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    clean |= {"PATH": f"{bin_folder}{os.pathsep}{clean['PATH']}"}
    command = [bin_folder / "mmsa", *shlex.split(given.words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=clean, **pipes) as running:
        first, page = (running.stdout.readline(), "") if given.page else ("", "")
        if first:
            page = urlopen(first.split()[0]).read().decode()
            running.send_signal(signal.SIGINT)
        try:
            out, err = running.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    said = first + out + err
    if running.returncode != given.code or given.says not in said:
        return f"exit code {running.returncode}: {said[-1500:]}"
    if given.page not in page:
        return f"the page lacks {given.page}: {page[:1500]}"
    if given.code == 2 and (err.count("\n") != 1 or out):
        return f"more than one line: {said[-1500:]}"
    return ""


def tried(extra: str, bin_folder: Path, folder: Path) -> list[str]:
    """Give all commands of an extra, print wrong answers, return their words."""
    folder.mkdir()
    (folder / "tiny.yaml").write_text(STUDY)
    (folder / "space.yaml").write_text(SEARCH)
    wrong = []
    for given in commands_of(extra):
        if why := answered(given, bin_folder, folder):
            wrong.append(given.words)
            print(f"WRONG  mmsa {given.words}\n{why}", flush=True)
    return wrong


def main() -> int:
    """Do it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the Python to install for (default: this one)")
    parser.add_argument("--extra", action="append", metavar="NAME", help="this one; may be repeated; '' is the wheel "
                        "alone (default: the wheel alone, then every extra alone)")  # fmt: skip
    parser.add_argument("--install", default="{python} -m pip install --quiet", metavar="COMMAND",
                        help="what installs (default: %(default)s)")  # fmt: skip
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, by children too, behind a shell's `&`
    wrong: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="try-install-") as text:
        root = Path(text)
        wheel = args.wheel.resolve() if args.wheel else built(root / "dist")
        for extra in args.extra or ["", *extras_of(wheel)]:
            began = time.monotonic()
            what = f"{wheel}[{extra}]" if extra else str(wheel)
            with tempfile.TemporaryDirectory(prefix="venv-", dir=root) as venv:
                bin_folder = installed(args.python, args.install, what, Path(venv))
                ready = time.monotonic()
                wrong[extra] = tried(extra, bin_folder, root / f"in-{extra or 'alone'}")
            took = f"installed in {ready - began:.0f} s, tried in {time.monotonic() - ready:.0f} s"
            print(f"{'WRONG' if wrong[extra] else 'ok':6} [{extra}]  {took}", flush=True)
    print(json.dumps({extra: many for extra, many in wrong.items() if many}))
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
