"""`python src/study.py keep FOLDER ... --out docs/evidence/lbf`: archived runs without what no report reads.

A run that diverged is a result, and kept too. What stays of a run are its settings, its commit and machine, and the
figures of its evaluations: some ten kilobytes, to be committed beside the docs that speak of them. `study.py report`
reads them as it reads whole archives.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from comparison.archives import ArchivedRun, read_runs, run_folders
from utils.errors import UserError

KEPT = ("episode", "first_return_t", "greedy_changed")  # beside the evaluations: what updates are counted by, and more
EVALUATIONS = ("test_", "absolute_")


def configure(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or any above runs")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where they are kept, with others")
    parser.add_argument("--metric", action="append", default=[], metavar="NAME",
                        help="a figure to be kept besides; may be given again")  # fmt: skip


def work(args: Namespace) -> None:
    """Keep what is whole and not kept yet, and say what was left out."""
    runs, now = read_runs(args.folders), datetime.now(UTC)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        there = {_key(run) for run in read_runs([args.out])} if any(run_folders(args.out)) else set()
        kept = 0
        for run in runs:
            if why := _unfit(run, now):
                print(f"note: {run.folder} is left out: {why}")
            elif _key(run) not in there:
                _keep(run, args.out, args.metric)
                kept += 1
    except OSError as why:
        raise UserError(f"--out {args.out}: cannot write there ({why.strerror})") from why
    print(f"{args.out}: {kept} runs more, {len(there) + kept} in all")


def _unfit(run: ArchivedRun, now: datetime) -> str:
    """Return why a run cannot be kept, "" where it can."""
    if run.problem:
        return run.problem
    if run.framework:
        return f"it is one of {run.framework}"
    whole = run.ended(now) == "completed" or run.diverged is not None
    return "" if whole else run.ended(now)


def _key(run: ArchivedRun) -> tuple[Any, ...]:
    """Return what makes a run this one, wherever it lies."""
    return run.task, run.algorithm, run.config.get("seed"), run.status.get("start_time")


def _keep(run: ArchivedRun, out: Path, more: Iterable[str]) -> None:
    """Put what is kept of a run under its task and algorithm, whole or not at all, by the first number that is free."""
    names = {*KEPT, *more}
    figures = {name: series for name, series in run.metrics.items() if name.startswith(EVALUATIONS) or name in names}
    above = out / run.task / run.algorithm
    above.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as partial:
        whole = Path(partial) / "run"
        whole.mkdir()
        contents = {"config": run.config, "run": run.status, "info": run.info, "metrics": figures}
        for name, content in contents.items():
            (whole / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
        number = 1 + max((int(path.name) for path in above.iterdir() if path.name.isdecimal()), default=0)
        whole.rename(above / str(number))
