"""Tries the plugin in hosts on several Pythons: `python scripts/try_hosts.py --host NAME PATH … --python PYTHON …`.

Each pair is tried on a copy with all mendings and an environment of twenty steps: QMIX, install, QMIX again, which must
be equal to the last digit, MMSA with `save_model`, MMSA evaluated from that model by the other runner, uninstall, which
must leave every file as it was. Prints a table in Markdown as it stands in docs/plugin.md; a cell says «works», or the
step that failed and its last line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from plugin.interpreter import described
from plugin.mendings import NAMES
from study_runs.process import kill
from utils.arguments import Parser
from utils.errors import RunFailedError, UserError
from utils.exits import exit_code

MINUTES = 30.0  # for one command, which takes some seconds on an idle core
SHORT = (
    "batch_size_run=2", "batch_size=4", "buffer_size=32", "t_max=300", "test_nepisode=2", "test_interval=200",
    "log_interval=100", "runner_log_interval=100", "learner_log_interval=40", "seed=1", "use_cuda=False",
    "save_model=True", "save_model_interval=200", "local_results_path=models",
)  # fmt: skip
ENVIRONMENT = "env: twenty_steps\nenv_args:\n  map_name: twenty_steps\n"
REGISTERED = '\nfrom .twenty_steps import TwentySteps\nREGISTRY["twenty_steps"] = TwentySteps\n'
LEFT_BY_RUNS = ("results", "models", "__pycache__")


class FailedStepError(Exception):
    """A step that did not do what it should: its name and the last line it said."""


def main(argv: Sequence[str]) -> int:
    """Try all pairs, print the table, and return the exit code: 1 if a cell is neither «works» nor a refusal."""
    return exit_code(lambda: _work(argv), "what was tried until now is printed above")


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    pythons = {python: _name(python) for python in args.python}
    print(f"| | {' | '.join(pythons.values())} |\n|---|{'---|' * len(pythons)}", flush=True)
    bad = False
    for name, path in args.host:
        print(f"| {name}", end="", flush=True)
        for python in pythons:
            verdict = cell(Path(path), python)
            bad |= not verdict.startswith(("works", "refused"))
            print(f" | {verdict}", end="", flush=True)
        print(" |", flush=True)
    if bad:
        raise RunFailedError("some cell is neither «works» nor a refusal: see the table above")


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="python scripts/try_hosts.py", description="The plugin in hosts, on several Pythons.")
    parser.add_argument("--host", nargs=2, action="append", metavar=("NAME", "PATH"), required=True)
    parser.add_argument("--python", nargs="+", required=True, help="interpreters, each with what the host needs")
    args = parser.parse_args(argv)
    for _, path in args.host:
        if not (Path(path) / "src/main.py").is_file():
            raise UserError(f"{path}: holds no src/main.py; give the root of a checkout of PyMARL2 or EPyMARL")
    args.python = [_absolute(python) for python in args.python]
    return args


def _absolute(python: str) -> str:
    found = shutil.which(python)
    if found is None:
        raise UserError(f"--python {python}: no program; give an interpreter with what the hosts need")
    return os.path.abspath(found)  # not where a link leads: a virtual environment's Python is one


def _name(python: str) -> str:
    try:
        return described(python)
    except UserError as refused:
        return str(refused)


def cell(host: Path, python: str) -> str:
    """Return «works», or what went wrong first."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "host"
        shutil.copytree(host / "src", root / "src", ignore=shutil.ignore_patterns(*LEFT_BY_RUNS))
        try:
            _prepare(root, python)
            return _tried(root, python)
        except FailedStepError as why:
            return str(why)


def _prepare(root: Path, python: str) -> None:
    _said("mending", root, python, REPOSITORY / "scripts/mend_host.py", root, *NAMES)
    shutil.copy(REPOSITORY / "plugin/twenty_steps.py", root / "src/envs")
    (root / "src/config/envs/twenty_steps.yaml").write_text(ENVIRONMENT)
    with (root / "src/envs/__init__.py").open("a") as registry:
        registry.write(REGISTERED)


def _tried(root: Path, python: str) -> str:
    before = _files(root)
    qmix = _trained("QMIX before", root, python, "qmix")
    command = [python, REPOSITORY / "scripts/install_plugin.py", root, "--python", python]
    installed = _run("install", root, command)
    if installed.returncode == 2 and _files(root) == before:
        return f"refused: {_last(installed)}"
    if installed.returncode:
        raise FailedStepError(f"install: {_last(installed)}")
    if _trained("QMIX after", root, python, "qmix") != qmix:
        raise FailedStepError("QMIX after: not the same as before")
    figures, _ = _trained("MMSA", root, python, "mmsa")
    if len(figures.get("loss_td", ())) < 2 or "loss_kl" not in figures:
        raise FailedStepError("MMSA: no losses in sacred's info.json")
    saved = max((path for path in (root / "models").rglob("mmsa.npz")), key=lambda path: int(path.parent.name))
    loading = (f"checkpoint_path={saved.parents[1]}", "evaluate=True", "runner=episode", "batch_size_run=1")
    said = _said("MMSA loaded", root, python, *_command("mmsa"), *loading)
    if "Loading model from" not in said or "test_return_mean" not in said:
        raise FailedStepError("MMSA loaded: evaluation printed nothing")
    _said("uninstall", root, python, *command[1:3], "--uninstall")
    if _files(root) != before:
        raise FailedStepError("uninstall: files are not as they were")
    return "works"


def _command(config: str) -> list[str]:
    words = ["src/main.py", f"--config={config}", "--env-config=twenty_steps", "with", *SHORT, "runner=parallel"]
    return [*words, *(["epsilon_anneal_time=200", "target_update_interval=8"] if config == "mmsa" else [])]


def _trained(step: str, root: Path, python: str, config: str) -> tuple[dict[str, list[float]], dict[str, bytes]]:
    """Train, and return the figures of sacred's archive and the models that were saved."""
    for folder in ("models", "results"):
        shutil.rmtree(root / folder, ignore_errors=True)
    _said(step, root, python, *_command(config))
    found = sorted((root / "results/sacred").rglob("info.json"))
    if not found:
        raise FailedStepError(f"{step}: left no info.json")
    figures = json.loads(found[-1].read_text())
    saved = sorted((root / "models").rglob("*.th"))
    numbers = {  # PyMARL2 also leaves a tensor for each norm of a gradient, with its address in memory
        key: values for key, values in figures.items() if all(isinstance(value, (int, float)) for value in values)
    }
    return numbers, {f"{path.parent.name}/{path.name}": path.read_bytes() for path in saved}


def _said(step: str, root: Path, python: str, *words: object) -> str:
    run = _run(step, root, [python, *words])
    if run.returncode:
        raise FailedStepError(f"{step}: {_last(run)}")
    return run.stdout + run.stderr


def _run(step: str, root: Path, command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    words = [*map(str, command)]
    with subprocess.Popen(
        words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=60 * MINUTES)
        except subprocess.TimeoutExpired as late:
            raise FailedStepError(f"{step}: took more than {MINUTES:g} minutes") from late
        finally:
            kill(process)  # and a host's environments, which may hang where it does
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def _last(run: subprocess.CompletedProcess[str]) -> str:
    lines = (run.stderr.strip() or run.stdout.strip() or "nothing said").splitlines()
    return lines[-1].replace("|", "/")


def _files(root: Path) -> dict[str, bytes]:
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths if not {*LEFT_BY_RUNS} & {*path.relative_to(root).parts}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
