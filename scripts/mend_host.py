"""Gets a PyMARL2 or EPyMARL past what stops it on a current machine: `python scripts/mend_host.py FORK [NAME …]`.

Without a name it says which mendings the fork may need. `--undo` brings lines back, of those named or of all;
docs/plugin.md lists the obstacles. Works with and without MMSA, on the host's own Python.
"""

import sys

if sys.version_info < (3, 8):
    found = sys.version.split()[0]
    print(f"error: this needs Python 3.8 or later, and is {found}; nothing was changed", file=sys.stderr)
    sys.exit(2)

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from plugin.changes import Change, apply, told
from plugin.mendings import MENDINGS, NAMES, plan_mending, plan_undoing
from utils.arguments import Parser
from utils.errors import UserError
from utils.exits import exit_code


def main(argv: "Sequence[str]") -> int:
    """Mend, undo, or say what could be mended; return the exit code, see `exit_code`."""
    return exit_code(lambda: told(lambda: _work(_parse(argv))), "nothing is left half done; run it again")


def _parse(argv: "Sequence[str]") -> Namespace:
    parser = Parser(prog="python scripts/mend_host.py", description="A PyMARL2 or EPyMARL on a current machine.")
    parser.add_argument("fork", type=Path, metavar="FORK", help="the root of the checkout, which holds src/")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to mend: {', '.join(NAMES)}")
    parser.add_argument("--undo", action="store_true", help="bring the lines back as they were")
    return parser.parse_intermixed_args(argv)  # --undo may stand before names


def _work(args: Namespace) -> "list[str]":
    root, source = args.fork, args.fork / "src"
    unknown = [name for name in args.names if name not in NAMES]
    if unknown:
        raise UserError(f"{unknown[0]}: no mending; there are {', '.join(NAMES)}")
    if not (source / "main.py").is_file():
        raise UserError(f"{root}: holds no src/main.py; give the root of a checkout of PyMARL2 or EPyMARL")
    if args.undo:
        changes = plan_undoing(root, args.names or NAMES)
        apply(changes, source)
        return [*_shown(root, changes), "as it was" if changes else "nothing of that was mended here"]
    if not args.names:
        return _needed(root)
    lines = []
    for mending in MENDINGS:
        if mending.name in args.names:
            changes = plan_mending(root, mending)
            apply(changes, source)
            lines += [f"{mending.name}:" if changes else f"{mending.name}: nothing to mend", *_shown(root, changes)]
    return lines


def _needed(root: Path) -> "list[str]":
    names = [mending.name for mending in MENDINGS if plan_mending(root, mending)]
    if not names:
        return ["nothing to mend"]
    lines = [f"  {mending.name:12}{mending.needed}" for mending in MENDINGS if mending.name in names]
    return ["needed", *lines, f"python scripts/mend_host.py {root} {' '.join(names)}"]


def _shown(root: Path, changes: "Sequence[Change]") -> "list[str]":
    return [f"  {change.kind:8}{change.path.relative_to(root).as_posix()}" for change in changes]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
