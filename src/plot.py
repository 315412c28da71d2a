"""Learning curves of archived runs: `python src/plot.py FOLDER [FOLDER ...] [--metric NAME] [--out PNG] [--table]`.

A folder is a run's own (`results/sacred/<task>/<algorithm>/<id>`) or any above; then all runs below it are taken.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from comparison import mean_curves
from comparison.mean_curves import Curves, Line
from comparison.series import Series
from settings import FOR_HOSTS
from utils.arguments import Parser
from utils.errors import UserError, nearest
from utils.exits import exit_code
from utils.naming import typed

TEST_RETURN = "test_return_mean"
NOT_A_DIFFERENCE = {"seed", "local_results_path", "checkpoint_path", "save_model", "save_model_interval", "device",
                    "threads", "use_tensorboard", "use_wandb", "wandb_mode", "wandb_project", "wandb_team",
                    "wandb_group", "runner", "log_interval", "learner_log_interval", *FOR_HOSTS}  # fmt: skip


@dataclass(frozen=True)
class ArchivedRun:
    """What the archive says of a run; `status` is sacred's `run.json`."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    status: dict[str, Any]

    @property
    def task(self) -> str:
        """The task's label, which the archive keeps as a folder name."""
        return self.folder.resolve().parents[1].name

    @property
    def algorithm(self) -> str:
        """The name of the algorithm's config."""
        return self.config["name"]

    def series(self, metric: str) -> Series:
        """Return one metric; raise `UserError` when the run has none of that name."""
        if metric not in self.metrics:
            known = nearest(metric, self.metrics)
            raise UserError(f"{self.folder} has no metric {metric!r}; did you mean {known}?")
        return Series(np.array(self.metrics[metric]["steps"]), np.array(self.metrics[metric]["values"]))

    def minutes(self) -> float:
        """Return the wall-clock time of the run, until its last heartbeat if it has not ended properly."""
        end = self.status.get("stop_time") or self.status["heartbeat"]
        return (datetime.fromisoformat(end) - datetime.fromisoformat(self.status["start_time"])).total_seconds() / 60


def find_runs(folders: Iterable[str]) -> list[ArchivedRun]:
    """Return the training runs in and below the folders, each once, by task, algorithm and seed."""
    found: dict[Path, ArchivedRun] = {}
    for name in folders:
        paths = sorted(path.parent for path in Path(name).rglob("metrics.json"))
        if not paths:
            raise UserError(f"{name}: no run here; give a folder such as results/sacred/<task>/<algorithm>/<id>")
        found |= {path.resolve(): _read_run(path) for path in paths}
    runs = [run for run in found.values() if not run.config["evaluate"] and run.metrics]
    if not runs:
        raise UserError("none of these runs has trained and logged something yet; wait, or give others")
    return sorted(runs, key=lambda run: (run.task, run.algorithm, run.config["seed"], run.folder))


def _read_run(folder: Path) -> ArchivedRun:
    try:
        config, metrics, status = (
            json.loads((folder / name).read_text()) for name in ("config.json", "metrics.json", "run.json")
        )
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as why:
        raise UserError(f"the run {folder} cannot be read ({why}); is it being written? Try again") from why
    if missing := {"name", "seed", "evaluate"} - config.keys():
        raise UserError(f"{folder} is no run of this project: its config.json lacks {', '.join(sorted(missing))}")
    return ArchivedRun(folder, config, metrics, status)


def grouped(runs: Iterable[ArchivedRun]) -> dict[str, dict[str, list[ArchivedRun]]]:
    """Return the runs by task and then by algorithm."""
    groups: dict[str, dict[str, list[ArchivedRun]]] = {}
    for run in runs:
        groups.setdefault(run.task, {}).setdefault(run.algorithm, []).append(run)
    return groups


def draw(runs: Sequence[ArchivedRun], metric: str, out: Path) -> None:
    """Draw one panel per task and one line per algorithm: the mean over its runs, shaded from least to greatest."""
    tasks = []
    for task, algorithms in grouped(runs).items():
        lines = [Line(f"{algorithm} ({_count(members)})", algorithm, [run.series(metric) for run in members])
                 for algorithm, members in algorithms.items()]  # fmt: skip
        tasks.append(Curves(task, metric, lines))
    figure = mean_curves.draw(tasks)
    try:
        figure.savefig(out)
    except (OSError, ValueError) as why:
        raise UserError(f"--out {out}: the picture cannot be written ({why})") from why


def _count(runs: Sequence[ArchivedRun]) -> str:
    seeds = len({run.config["seed"] for run in runs})
    words = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return words if seeds == len(runs) else f"{len(runs)} runs, {words}"


def differing(runs: Sequence[ArchivedRun]) -> list[str]:
    """Return the settings, other than those that change no result, in which runs of one line differ."""
    keys = {key for run in runs for key in run.config} - NOT_A_DIFFERENCE
    return sorted(key for key in keys if len({json.dumps(run.config.get(key)) for run in runs}) > 1)


def near(series: Series, step: int) -> str:
    """Return the mean of the three values nearest to a step, or a dash where the series ends before it."""
    if series.steps[-1] < step:
        return "–"
    nearest_three = np.argsort(np.abs(series.steps - step), kind="stable")[:3]
    return f"{series.values[nearest_three].mean():.3f}"


def table(runs: Iterable[ArchivedRun], at: Sequence[int] = ()) -> str:
    """Return a Markdown table with one row per run; `at` adds a column per step, see `near`."""
    columns = ["task", "algorithm", "seed", "steps", "minutes", *(f"near {step}" for step in at)]
    columns += ["final test return", "mean of last three"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for run in runs:
        steps, values = run.series(TEST_RETURN)
        cells = (run.task, run.algorithm, run.config["seed"], steps[-1], f"{run.minutes():.1f}",
                 *(near(Series(steps, values), step) for step in at),
                 f"{values[-1]:.3f}", f"{values[-3:].mean():.3f}")  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog=typed("plot"), description="Learning curves of archived runs.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="a run's folder, or any folder above runs")
    parser.add_argument("--metric", default=TEST_RETURN, help=f"what to draw (default: {TEST_RETURN})")
    parser.add_argument("--out", type=Path, default=Path("curve.png"), help="the picture (default: curve.png)")
    parser.add_argument("--table", action="store_true", help="also print a Markdown table of the runs")
    parser.add_argument("--at", type=int, nargs="+", default=[], metavar="STEPS",
                        help="with --table: also the mean of the three evaluations nearest to these steps")  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Draw, print where the picture is, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "no picture was drawn")


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    runs = find_runs(args.folders)
    draw(runs, args.metric, args.out)
    text = table(runs, args.at) if args.table else ""
    for task, algorithms in grouped(runs).items():
        for algorithm, members in algorithms.items():
            if keys := differing(members):
                print(f"note: runs of {algorithm} on {task} share a line and differ in {', '.join(keys)}")
    if text:
        print(text)
    print(args.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
