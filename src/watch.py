"""Runs as they train, on a page of this machine alone: `python src/watch.py [FOLDER] [--port N]`."""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from utils.arguments import Parser, whole
from utils.errors import UserError
from utils.exits import exit_code
from utils.naming import to_install, typed

PORT = 8420


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog=typed("watch"), description="A page that shows runs as they train; it changes nothing.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"), metavar="FOLDER",
                        help="any folder above runs; it may be empty yet (default: results)")  # fmt: skip
    parser.add_argument("--port", type=whole(0, 65535), default=PORT, metavar="N",
                        help=f"of 127.0.0.1, where the page is; 0 takes a free one (default: {PORT})")  # fmt: skip
    return parser.parse_args(argv)


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    if not args.folder.is_dir():
        raise UserError(f"{args.folder}: no folder here; give the one that runs are in, results for one")
    try:
        from watching.runs import Runs
        from watching.server import HERE, listening_on, serve
    except ModuleNotFoundError as missing:
        raise UserError(f"watch needs {missing.name}: run `{to_install('requirements-watch.txt')}`") from missing
    with listening_on(args.port) as listening:
        print(f"http://{HERE}:{listening.getsockname()[1]}/ shows {args.folder}; Ctrl-C ends it", flush=True)
        runs = Runs(args.folder)
        runs.start()
        try:
            serve(runs, listening)
        finally:
            runs.stop()


def main(argv: Sequence[str]) -> int:
    """Serve the page until Ctrl-C, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "the page is gone, and the runs are as they were")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
