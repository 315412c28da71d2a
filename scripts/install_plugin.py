"""MMSA in a checkout of PyMARL2 or EPyMARL: `python scripts/install_plugin.py PATH [--dry-run] [--uninstall]`.

Copies the method's files to `PATH/src/mmsa`, its settings to `PATH/src/config/algs/mmsa.yaml`, and adds one line each
to the registries of agents, controllers and learners; docs/plugin.md is the guide.
"""

import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from plugin.changes import Change, apply, remove_empty  # noqa: E402  after the path is set
from plugin.hosts import LINES, recognise  # noqa: E402
from plugin.plans import PACKAGE, plan_install, plan_uninstall  # noqa: E402
from utils.arguments import Parser  # noqa: E402
from utils.exits import exit_code  # noqa: E402


def main(argv: Sequence[str]) -> int:
    """Install, take out, or say what would be done; return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "nothing is left half done; run it again")


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    root: Path = args.path
    host = None if args.uninstall else recognise(root)
    changes = plan_uninstall(root) if host is None else plan_install(root, host)
    if not args.dry_run:
        apply(changes, root / "src")
    print(root if host is None else f"{host} in {root}")
    for change in changes:
        print(_described(change, root))
    if args.dry_run:
        print("dry run: nothing was written")
    elif host is None:
        _tidy(root / PACKAGE, changes)
        print("MMSA is out of it again")
    elif changes:
        print(f"MMSA is in it. Try, in {root}:\n  {host.example}")
    else:
        print("MMSA is in it already: nothing to do")


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="python scripts/install_plugin.py", description="MMSA in a checkout of PyMARL2 or EPyMARL.")
    parser.add_argument("path", type=Path, metavar="PATH", help="the root of the checkout, which holds src/")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    parser.add_argument("--uninstall", action="store_true", help="take MMSA out again, and restore every file")
    return parser.parse_args(argv)


def _described(change: Change, root: Path) -> str:
    path = change.path.relative_to(root).as_posix()
    line = f": {LINES[path].text.decode()}" if path in LINES else ""
    return f"  {change.kind:8}{path}{line}"


def _tidy(package: Path, changes: Sequence[Change]) -> None:
    """Remove what Python left of the package besides, and empty folders; say what else stands there."""
    for cache in [*package.rglob("__pycache__")]:
        shutil.rmtree(cache)
    remove_empty({change.path.parent for change in changes if change.path.is_relative_to(package)})
    if package.exists():
        print(f"left alone in {package}: files that this plugin did not put there")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
