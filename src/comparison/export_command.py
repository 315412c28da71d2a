"""`python src/study.py export FOLDER ... --out runs.json`: archived runs as marl-eval's JSON."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from comparison.marl_eval import as_marl_eval, without_absolute
from comparison.report_command import add_choice, choose
from utils.errors import UserError
from utils.files import write_whole


def configure(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    add_choice(parser)
    parser.add_argument("--out", type=Path, default=Path("marl_eval.json"), metavar="FILE",
                        help="what to write (default: marl_eval.json)")  # fmt: skip


def work(args: Namespace) -> None:
    """Write the file and print where it is."""
    runs, pooled = choose(args, smooth=1)
    text = json.dumps(as_marl_eval(pooled), allow_nan=False)
    try:
        write_whole(args.out, lambda path: path.write_text(text, encoding="utf-8"))
    except OSError as why:
        raise UserError(f"--out {args.out}: cannot write there ({why.strerror})") from why
    if lacking := without_absolute(pooled):
        print(f"note: {len(lacking)} runs have no absolute metric, which marl-eval wants; the first is {lacking[0]}")
    foreign = sum(len(line.members) for group in pooled.groups for line in group.lines if line.framework)
    if foreign:
        print(f"note: {foreign} runs of other frameworks are left out: their archives list no episodes")
    for note in pooled.notes:
        print(f"note: {note}")
    if pooled.left_out:
        print(f"note: {len(pooled.left_out)} of {len(runs)} runs are left out; `study.py report` says why")
    print(args.out)
