"""What works on this machine, and the command that mends what does not: `python src/doctor.py [SUITE ...]`.

Python, the packages, Torch and CUDA, StarCraft II's folder, and every suite that the registry knows, of which one
environment is made, stepped and drawn in a process of its own. Nothing is changed. Exit code 0 when the suite that the
README begins with can be trained on, 1 when not; with suites named, when each of these can.

Beside that it looks at a task of somebody's own (`--task`), repeats an episode in which one failed (`--repeat`), trusts
a package for archives (`--trust`), and writes a task to begin with (`--new-task`).
"""

from __future__ import annotations  # an older Python reads this file, too, and is told what is needed

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from checkup import machine, suites
from checkup.children import Child, interrupted_later
from checkup.finding import FAILS, Finding

ROOT = Path(__file__).parents[1]
BASE = "requirements.txt"
DEFAULT_SUITE = "lbf"


def examine(asked: Sequence[str], limit: float) -> list[str]:
    """Print what works; return what fails of all that training on the suites asked for, or the default one, needs.

    Raises `UserError` for a suite that the registry does not know.
    """
    base = machine.packages(ROOT, BASE, needed=True)
    failing = [BASE] if base.mark == FAILS else []
    try:
        from envs import ENVS, REQUIREMENTS, env_path  # brings NumPy
    except ModuleNotFoundError as missing:
        _say([machine.python(), base])
        print(f"      no suite can be tried without {missing.name}: run this again after that")
        return failing
    names = asked or [*ENVS, *suites.TASKS]
    modules = {name: env_path(suites.suite_of(name)).partition(":")[0] for name in names}
    _say([machine.python(), base])
    for words in sorted({REQUIREMENTS[module] for module in modules.values() if module in REQUIREMENTS}):
        _say([machine.packages(ROOT, words, needed=False)])
    if any(name.startswith("sc2") for name in modules):
        _say([machine.starcraft()])
    return failing + _try(list(modules), {"torch", *(asked or [DEFAULT_SUITE])}, limit)


def _try(names: list[str], needed: set[str], limit: float) -> list[str]:
    """Try Torch and suites, all at once, for at most `limit` seconds; return which of the needed ones fail."""
    children: dict[str, Child] = {}
    failing = []
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        try:
            with interrupted_later():
                children["torch"] = machine.start_torch(Path(folder))
                for name in names:
                    children[name] = suites.start_suite(name, Path(folder))
            for name, child in children.items():
                ended = child.wait(limit)
                found = machine.torch(ended, ROOT / BASE) if name == "torch" else suites.suite(name, ended)
                _say(found)
                if name in needed and any(finding.mark == FAILS for finding in found):
                    failing.append(name)
        finally:
            for child in children.values():
                child.kill()
    return failing


def _say(found: Sequence[Finding]) -> None:
    for finding in found:
        print(finding.text(), flush=True)


def _add_own_task(parser: ArgumentParser) -> None:
    parser.add_argument("--task", metavar="KEY",
                        help="look at a task of your own; its settings may follow: kwargs.N=5")  # fmt: skip
    parser.add_argument("--env-config", choices=("gymma", "own", "pymarl"), default="gymma",
                        help="whose key --task is (default: gymma)")  # fmt: skip
    parser.add_argument("--repeat", metavar="FOLDER", help="play the episode again in which a task's fault ended a run")
    parser.add_argument("--trust", metavar="PACKAGE", help="let archives have this package's code run, as it is here")
    parser.add_argument("--new-task", metavar="FILE", help="write a task of your own to begin with")


def _own_task(args: Namespace) -> bool:
    """Do what is asked for a task of somebody's own; return whether something was."""
    if not any((args.task, args.repeat, args.trust, args.new_task)):
        return False
    from checkup import own_task  # brings Torch

    if args.new_task:
        lines = own_task.new_task(args.new_task)
    elif args.trust:
        lines = own_task.trust_package(args.trust)
    elif args.repeat:
        lines = own_task.repeat(args.repeat)
    else:
        lines = own_task.look_at(args.env_config, args.task, args.suites)
    print("\n".join(lines))
    return True


def main(argv: Sequence[str]) -> int:
    """Examine the machine, and return the exit code."""
    if machine.python().mark == FAILS:
        _say([machine.python()])
        return 1
    from utils.arguments import Parser, whole  # which older Pythons cannot read
    from utils.errors import RunFailedError
    from utils.exits import exit_code
    from utils.naming import typed

    def work() -> None:
        parser = Parser(prog=typed("doctor"), description="What works on this machine, and what mends the rest.")
        parser.add_argument("suites", nargs="*", metavar="SUITE", help="try these alone (default: all that there are)")
        parser.add_argument("--limit", type=whole(1, 3600), default=180, metavar="SECONDS",
                            help="how long trying may take (default: 180)")  # fmt: skip
        _add_own_task(parser)
        args = parser.parse_args(argv)
        if _own_task(args):
            return
        if failing := examine(args.suites, args.limit):
            suite = " and ".join(args.suites) or DEFAULT_SUITE
            raise RunFailedError(f"no training on {suite} here, because of {', '.join(failing)}: see the lines above")

    return exit_code(work, "nothing was changed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
