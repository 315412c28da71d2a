"""`python src/study.py plan STUDY`: how long its runs would take on this machine, from a short run of each kind."""

import json
import math
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rich.table import Table

from study_runs import asked
from study_runs.equal_minutes import refuse_equal, write_equal
from study_runs.planned_run import PlannedRun
from study_runs.views import described, study_console
from utils.errors import RunFailedError, UserError

MAIN = Path(__file__).parents[1] / "main.py"
ENTRIES = 5  # of the training figures in a short run; what passes between the third and the last counts
SHORT = {"save_model": "false", "absolute_factor": "0", "test_interval": "2000000000", "test_nepisode": "1"}


class Speed(NamedTuple):
    """What a short run took: seconds per step of training, of evaluation, and of the learner; steps per episode."""

    training: float
    playing: float
    learning: float
    episode: float


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    asked.configure_file(parser)
    told = "environment steps of each short run (20,000); learning has to begin within the first half"
    parser.add_argument("--steps", type=int, default=20_000, metavar="N", help=told)
    equal = "write the study again, a file per task, with as many updates_per_run as fit into the dearest one's time"
    parser.add_argument("--equal-minutes", type=Path, metavar="FOLDER", help=equal)


def work(args: Namespace) -> None:
    """Run one seed of each kind for a short while, and print what all would take. The study's folder is not touched."""
    if args.steps < ENTRIES:
        raise UserError(f"--steps {args.steps}: a short run has at least {ENTRIES} steps")
    study = asked.read(args.file, {})
    kinds: dict[tuple[str, str, str | None], list[PlannedRun]] = {}
    for run in study.runs:
        kinds.setdefault((run.task, run.algorithm, run.variant), []).append(run)
    if args.equal_minutes is not None:
        refuse_equal(args.equal_minutes, args.file, study.runs)
    console = study_console()
    speeds, hours = {}, {}
    for runs in kinds.values():
        speed = measured(runs[0], args.steps, study.running["cpus_per_run"] or 1)
        seconds = duration(runs[0].settings, speed)
        speeds[runs[0].name], hours[runs[0].name] = speed, seconds
        console.print(f"{_kind(runs[0])}: {described(seconds)} for each of {len(runs)}", markup=False)
    console.print(plan(list(kinds.values()), hours, study.running["jobs"]))
    if args.equal_minutes is not None:
        for path, updates in write_equal(args.equal_minutes, args.file, [runs[0] for runs in kinds.values()], speeds):
            console.print(f"{path}: updates_per_run {updates}", markup=False)


def measured(run: PlannedRun, steps: int, threads: int) -> Speed:
    """Train for so many steps in a folder that goes away again, and return the speed of its second half.

    Raises `RunFailedError` with the run's last line if it fails, `UserError` where its steps were too few.
    """
    with tempfile.TemporaryDirectory() as results:
        short = SHORT | {"log_interval": str(steps // ENTRIES), "t_max": str(steps), "local_results_path": results}
        words = replace(run, updates={**run.updates, **short, "threads": str(threads)}).words()
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, str(MAIN), *words]
        done = subprocess.run(command, env=env, text=True, capture_output=True)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RunFailedError(f"{_kind(run)}: its short run failed: {said[-1]}")
        (metrics,) = Path(results).rglob("metrics.json")
        figures = json.loads(metrics.read_text())
        if len(figures.get("steps_per_second", {}).get("steps", ())) < 3:
            raise UserError(f"--steps {steps}: its episodes are too long to see a speed in so few: take more")
        return speed_of(figures)


def speed_of(figures: Mapping[str, Any]) -> Speed:
    """Return a run's speed between its third last and its last entry of training figures, which speak of all before."""
    steps = figures["steps_per_second"]["steps"]
    then, now = (steps[k] / figures["steps_per_second"]["values"][k] for k in (-3, -1))  # seconds since the start
    passed = steps[-1] - steps[-3]

    def of(phase: str) -> float:
        shares = figures[f"time_{phase}"]["values"] if f"time_{phase}" in figures else (0, 0, 0)
        return (shares[-1] * now - shares[-3] * then) / passed

    episode = fmean(figures["ep_length_mean"]["values"][-2:])
    return Speed((now - then) / passed, of("act") + of("env"), of("learn"), episode)


def duration(settings: Mapping[str, Any], speed: Speed) -> float:
    """Return the seconds of a whole run: its training, its evaluations, and the last one of the best checkpoint."""
    evaluations = 1 + math.ceil(settings["t_max"] / settings["test_interval"]) + settings["absolute_factor"]
    played = evaluations * settings["test_nepisode"] * speed.episode
    return settings["t_max"] * speed.training + played * speed.playing


def plan(kinds: Sequence[Sequence[PlannedRun]], seconds: Mapping[str, float], jobs: int) -> Table:
    """Return one row per kind of run, and what all of them take."""
    total = sum(seconds[runs[0].name] * len(runs) for runs in kinds)
    longest = max(seconds.values())
    at_once = f"; {jobs} at once: about {described(max(total / jobs, longest))}" if jobs > 1 else ""
    drawn = Table(
        caption=f"one after the other: {described(total)}{at_once}; the longest run: {described(longest)}",
        caption_justify="left",
    )
    for word in ("task", "algorithm", "variant"):
        drawn.add_column(word, no_wrap=True)
    for word in ("runs", "each", "together"):
        drawn.add_column(word, justify="right", no_wrap=True)
    for runs in kinds:
        each = seconds[runs[0].name]
        names = runs[0].task, runs[0].algorithm, runs[0].variant or ""
        drawn.add_row(*names, str(len(runs)), described(each), described(each * len(runs)))
    return drawn


def _kind(run: PlannedRun) -> str:
    return " ".join(filter(None, (run.task, run.algorithm, run.variant)))
