"""`python src/study.py report FOLDER ... --out report`: one page, figures and tables that compare archived runs."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from comparison.archives import read_runs
from comparison.pooling import Choice, Pool, pool
from utils.arguments import whole
from utils.commit import commit_of
from utils.errors import UserError
from utils.files import unfinished
from utils.naming import to_install

PAGE = "index.html"
PACKAGES = "requirements-report.txt"


def configure(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    add_choice(parser)
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="FOLDER",
                        help="where to write (default: report)")  # fmt: skip
    parser.add_argument("--smooth", type=whole(1, 1000), default=1, metavar="N",
                        help="draw means of the last N evaluations, and say so on the curves (default: 1)")  # fmt: skip
    parser.add_argument("--range", nargs=3, action="append", default=[], metavar=("TASK", "LOW", "HIGH"),
                        help="what counts as 0 and as 1 on a task, where all tasks are taken together")  # fmt: skip


def add_choice(parser: ArgumentParser) -> None:
    """Declare which runs are taken, and which figure of theirs."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or any above runs")
    parser.add_argument("--metric", metavar="NAME", help="what to show (default: what the runs' protocol reports)")
    parser.add_argument("--force", action="store_true",
                        help="pool what should not be, unfinished runs too; printed on every figure")  # fmt: skip


def choose(args: Namespace, smooth: int) -> tuple[list[Any], Pool]:
    """Read and pool the runs that a command names; raise `UserError` where none can be shown."""
    runs = read_runs(args.folders)
    pooled = pool(runs, Choice(args.force, args.metric, smooth))
    if not pooled.groups:
        first = next(iter(pooled.left_out.items()))
        raise UserError(f"none of the {len(runs)} runs found can be shown; {first[0]}: {first[1]}")
    return runs, pooled


def work(args: Namespace) -> None:
    """Write the report and print where its page is."""
    given = given_ranges(args.range)
    runs, pooled = choose(args, args.smooth)
    try:
        from comparison.report import write_report
    except ModuleNotFoundError as missing:
        raise UserError(
            f"the report needs the Python package {missing.name}, which is not installed: "
            f"run `{to_install(PACKAGES)}`"
        ) from missing
    now = datetime.now(UTC)
    facts = {
        "folders": shlex.join(map(str, args.folders)),
        "made": f"{now:%Y-%m-%d %H:%M} UTC",
        "commit of this report": commit_of(Path(__file__).parents[1]),
        "options": shlex.join(_options(args)) or "none",
    }
    names: list[str] = []
    with unfinished(args.out, names) as partial:
        names += write_report(partial, runs, pooled, facts, given, now)
    for note in pooled.notes:
        print(f"note: {note}")
    if pooled.left_out:
        print(f"note: {len(pooled.left_out)} of {len(runs)} runs are not in the figures; the page says why")
    print(args.out / PAGE)


def given_ranges(words: Sequence[Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Return what `--range` gives, by task."""
    ranges = {}
    for task, low, high in words:
        try:
            ranges[task] = (float(low), float(high))
        except ValueError as why:
            raise UserError(f"--range {task} {low} {high}: give two numbers") from why
        if not ranges[task][0] < ranges[task][1]:
            raise UserError(f"--range {task} {low} {high}: the first number has to be the lower one")
    return ranges


def _options(args: Namespace) -> list[str]:
    words = ["--force"] * args.force
    words += ["--metric", args.metric] if args.metric else []
    words += ["--smooth", str(args.smooth)] if args.smooth > 1 else []
    return words + [word for given in args.range for word in ("--range", *given)]
