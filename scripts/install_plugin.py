"""MMSA in a checkout of PyMARL2 or EPyMARL: `python scripts/install_plugin.py PATH [--dry-run] [--uninstall]`.

Copies the method's files to `PATH/src/mmsa`, its settings to `PATH/src/config/algs/mmsa.yaml`, and adds one line each
to the registries of agents, controllers and learners; docs/plugin.md is the guide. Runs on the host's own Python.
"""

import sys

if sys.version_info < (3, 8):
    found = sys.version.split()[0]
    print(f"error: MMSA needs Python 3.8 or later, this is {found}; nothing was changed", file=sys.stderr)
    sys.exit(2)

import shutil
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from plugin.changes import Change, apply, remove_empty, told
from plugin.hosts import HOSTS, LINES, recognise
from plugin.interpreter import described
from plugin.plans import PACKAGE, plan_install, plan_uninstall
from utils.arguments import Parser
from utils.exits import exit_code


def main(argv: "Sequence[str]") -> int:
    """Install, take out, or say what would be done; return the exit code, see `exit_code`."""
    return exit_code(lambda: told(lambda: _work(_parse(argv))), "nothing is left half done; run it again")


def _work(args: Namespace) -> "list[str]":
    return _uninstalled(args.path, args) if args.uninstall else _installed(args.path, args)


def _installed(root: Path, args: Namespace) -> "list[str]":
    found = described(args.python)
    host = recognise(root, args.host)
    changes = plan_install(root, host)
    lines = [f"{host} in {root}; {found}", *(_line(change, root) for change in changes)]
    if args.dry_run:
        return [*lines, "dry run: nothing was written"]
    apply(changes, root / "src")
    if not changes:
        return [*lines, "MMSA is in it already: nothing to do"]
    return [*lines, f"MMSA is in it. Try, in {root}:\n  {host.example}"]


def _uninstalled(root: Path, args: Namespace) -> "list[str]":
    changes = plan_uninstall(root)
    lines = [str(root), *(_line(change, root) for change in changes)]
    if args.dry_run:
        return [*lines, "dry run: nothing was written"]
    apply(changes, root / "src")
    return [*lines, *_tidied(root / PACKAGE, changes), "MMSA is out of it again"]


def _parse(argv: "Sequence[str]") -> Namespace:
    parser = Parser(prog="python scripts/install_plugin.py", description="MMSA in a checkout of PyMARL2 or EPyMARL.")
    parser.add_argument("path", type=Path, metavar="PATH", help="the root of the checkout, which holds src/")
    parser.add_argument("--python", metavar="PYTHON", help="the Python that the host runs on, if not this one")
    parser.add_argument("--host", choices=[host.name for host in HOSTS], help="for a fork that has the entries of both")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    parser.add_argument("--uninstall", action="store_true", help="take MMSA out again, and restore every file")
    return parser.parse_args(argv)


def _line(change: Change, root: Path) -> str:
    path = change.path.relative_to(root).as_posix()
    line = f": {LINES[path].text.decode()}" if path in LINES else ""
    return f"  {change.kind:8}{path}{line}"


def _tidied(package: Path, changes: "Sequence[Change]") -> "list[str]":
    """Remove what Python left of the package besides, and empty folders; say if more stands there."""
    for cache in [*package.rglob("__pycache__")]:
        shutil.rmtree(cache)
    remove_empty({change.path.parent for change in changes if package in change.path.parents})
    return [f"left alone in {package}: files that this plugin did not put there"] if package.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
