"""Comparisons of many runs: `python src/study.py run|status|stop|diff|report|keep ...`; each has its `--help`."""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from utils.arguments import Parser
from utils.errors import UserError
from utils.exits import exit_code
from utils.naming import to_install, typed


class Subcommand(NamedTuple):
    """A subcommand's module, which offers `configure(parser)` and `work(args)`, and what it does, in a line."""

    module: str
    summary: str


SUBCOMMANDS: dict[str, Subcommand] = {  # the word on the command line; only the chosen one's module is imported
    "run": Subcommand("study_runs.run_command", "do every run of a study that is not done yet"),
    "plan": Subcommand("study_runs.plan_command", "say how long the runs of a study would take here"),
    "status": Subcommand("study_runs.status_command", "say how far the runs of a study are"),
    "search": Subcommand("study_runs.search_command", "search for settings, with Optuna"),
    "stop": Subcommand("study_runs.stop_command", "let a study that is being run save its runs and end"),
    "diff": Subcommand("study_runs.diff_command", "say why two runs could disagree"),
    "report": Subcommand("comparison.report_command", "compare archived runs on one page, with figures and tables"),
    "keep": Subcommand("comparison.keep_command", "keep runs without checkpoints and logs, as a report reads them"),
    "export": Subcommand("comparison.export_command", "write archived runs as marl-eval's JSON"),
    "export-results": Subcommand("comparison.results_command", "write the figures of archived runs as CSV or Parquet"),
}


def main(argv: Sequence[str]) -> int:
    """Do what one subcommand does and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "what is written stays as it is; the same command goes on from there")


def _work(argv: Sequence[str]) -> None:
    module, args = _parse(argv)
    module.work(args)


def _parse(argv: Sequence[str]) -> tuple[ModuleType, Namespace]:
    parser = Parser(prog=typed("study"), description="Comparisons of many runs.")
    words = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    modules = {}
    for name, (module, summary) in SUBCOMMANDS.items():
        subparser = words.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name in argv[:1]:
            modules[name] = _imported(module)
            modules[name].configure(subparser)
    args = parser.parse_args(argv)
    return modules[args.subcommand], args


def _imported(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise UserError(
            f"this Python, {sys.executable}, has no {missing.name}: {to_install('requirements-report.txt')}"
        ) from missing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
