"""Is the world model any good? `python src/inspect_world_model.py PATH [--episodes N] [--horizon N] [--epsilon X] …`.

Plays fresh episodes with a checkpoint and writes a report of what its world model foresaw: `index.html`, which holds
everything, its pictures as PNG, and its numbers as `errors.csv` and `report.json`.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from training.assembly import Run
from training.checkpoint import run_folder_of
from training.reopen import ONE_HERE, reopen
from utils.arguments import Parser, share, whole
from utils.errors import UserError
from utils.exits import exit_code
from utils.files import unfinished
from utils.naming import typed
from world_model_report.collect import fresh_episodes
from world_model_report.dream_report import CAPTIONS as DREAMS
from world_model_report.dream_report import make_dream_report
from world_model_report.files import FILES, PAGE, files_of, write_files
from world_model_report.report import Played, make_report

WITH_A_MODEL = "mmsa, mmsa_paper, dreamer, mamba, mabl or dmawm"
CONFIG_DIR = Path(__file__).parent / "config"


def inspect(run: Run, args: Namespace, command: str) -> tuple[Path, list[str]]:
    """Write the report; return where its page is, and the short answer."""
    dreams = hasattr(run.learner, "world")
    if not dreams and getattr(run.learner, "world_model", None) is None:  # QMIX's learner knows of none
        raise UserError(f"{args.path}: this run has no world model to look at; give a run of {WITH_A_MODEL}")
    seed = run.eval_seed if args.seed is None else args.seed
    horizon = args.horizon or (24 if dreams else 10)
    run_folder = run_folder_of(Path(run.args.checkpoint_path))
    folder = args.out or run_folder / "world_model" / f"t_{run.t_env}"
    with unfinished(folder, files_of(DREAMS) if dreams else FILES) as partial:
        batch, results = fresh_episodes(run, args.episodes, args.epsilon, seed)
        played = Played(batch, results, args.epsilon, seed, horizon)
        if dreams:
            report = make_dream_report(run, run_folder, played, command, args.context)
        else:
            report = make_report(run, run_folder, played, command)
        write_files(partial, report)
    return folder / PAGE, report.answer


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(
        prog=typed("inspect_world_model"),
        description="A report of what a checkpoint's world model foresees on fresh episodes.",
    )
    parser.add_argument("path", metavar="PATH", help="a run's folder (its last checkpoint is taken) or a checkpoint")
    parser.add_argument("--episodes", type=whole(1, 1000), default=64, metavar="N",
                        help="how many to play (default: 64)")  # fmt: skip
    parser.add_argument("--horizon", type=whole(1, 1000), metavar="N",
                        help="how many steps to look ahead, as far as episodes reach (default: 10, and 24 for "
                        "dreamer, mamba, mabl and dmawm)")  # fmt: skip
    parser.add_argument("--context", type=whole(1, 1000), default=6, metavar="N",
                        help="rows of an episode that these four see before they look ahead (default: 6)")  # fmt: skip
    parser.add_argument("--epsilon", type=share, default=0.05, metavar="X",
                        help="share of random actions, 0 to 1 (default: 0.05); above 0, policies draw")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), metavar="N",
                        help="where the episodes come from (default: the run's own seed); they are never those of "
                        "training or evaluation")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where to write (default: <the run's folder>/world_model/t_<steps>)")  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Write a report, print its answer and its page, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "no report was written")


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    run = reopen(args.path, CONFIG_DIR, ONE_HERE)
    try:
        page, answer = inspect(run, args, shlex.join(["python", "src/inspect_world_model.py", *argv]))
    finally:
        run.close()
    print("\n".join([*answer, str(page)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
