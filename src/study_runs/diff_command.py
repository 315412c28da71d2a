"""`python src/study.py diff RUN_A RUN_B`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from settings import Effect, shown
from study_runs.diff import Difference, differences, first_parting
from study_runs.views import study_console


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "Exit code: 0 if nothing differs that can change a figure, 1 if something does, 2 for a mistake."
    parser.add_argument("one", type=Path, metavar="RUN_A", help="a run: results/sacred/<task>/<algorithm>/<id>")
    parser.add_argument("other", type=Path, metavar="RUN_B", help="the run beside it")


def work(args: Namespace) -> None:
    """Print what differs, and leave with exit code 1 if some of it can change a figure."""
    found = differences(args.one, args.other)
    parting = first_parting(args.one, args.other)
    console = study_console()
    if found:
        table = Table("what differs", "", "RUN_A", "RUN_B", "effect on figures")
        for difference in sorted(found, key=lambda difference: list(Effect).index(difference.effect)):
            texts = (difference.kind, difference.what, difference.one, difference.other)
            table.add_row(*(Text(shown(text)) for text in texts), difference.effect.value)
        console.print(table)
    else:
        console.print("nothing differs: settings, seed, code, packages, machine, course")
    console.print(Text(_said(parting, found)))
    if any(difference.effect is not Effect.NOTHING for difference in found):
        raise SystemExit(1)


def _said(parting: tuple[int, str, float, float] | None, found: list[Difference]) -> str:
    """Return where the figures part, and whether anything recorded explains it."""
    if parting is None:
        return "their figures agree at every step that both have logged"
    step, metric, one, other = parting
    said = f"their figures part at {step} environment steps: {shown(metric)} is {one:g} and {other:g}"
    if any(difference.effect is not Effect.NOTHING for difference in found):
        return said
    return f"{said}; nothing recorded explains it (on a GPU, sums are not taken in the same order every time)"
