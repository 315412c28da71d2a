"""Remake the tables and pictures of docs/performance.md, and of the pages behind it, from benchmarks' JSON.

    python benchmarks/report.py            # writes the pages and their pictures
    python benchmarks/report.py --check    # writes nothing; fails where a page is not what the figures make of it

A table stands between `<!-- figures: NAME -->` and `<!-- end -->`. Figures are the files `*.json` of
docs/measurements/figures, of any machine: `throughput.py`, `gpu_day.py` and `bytes_per_step.py` write them with
`--json` or `--out`. Every table names its machine, date, commit and command.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gpu_day_page
from answers import command
from gpu_day_page import table
from recorded import FIGURES, ROOT

from utils.errors import RunFailedError, UserError

DOCS = ROOT / "docs"
PAGES = [DOCS / "performance.md", DOCS / "measurements" / "machines.md", DOCS / "measurements" / "replay.md"]
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
Figures = Mapping[str, Any]


def heading(figures: Figures) -> str:
    """Return which machine measured, when, and by what command."""
    machine = figures["machine"]
    made = f"{machine['date']}, commit `{machine['commit']}`, Torch {machine['torch']}"
    return f"**{machine['name']}**, {made}:\n`{figures['command']}`"


def speed(figures: Figures) -> str:
    """Return whole runs beside EPyMARL's."""
    runs, peer = figures["runs"], figures["peer"]
    rows = []
    for name, run in runs.items():
        beside = f"{run['median'] / runs[peer]['median']:.2f}" if peer in runs else ""
        rounds = ", ".join(f"{each:.0f}" for each in run["rounds"])
        split = ", ".join(f"{phase} {share:.0%}" for phase, share in run["shares"].items() if share >= 0.005)
        rows.append((name, f"{run['median']:.0f}", rounds, beside, split))
    return table(("run", "steps/s", "by round", f"beside {peer}", "time"), rows)


def memory(figures: Figures) -> str:
    """Return what a step of every suite takes."""
    rows = [
        (name, told["agents"], told["bytes"], told["float16"], f"{told['episodes']} × {told['steps']}",
         f"{told['full'] / 1e9:.2f} GB")
        for name, told in figures["tasks"].items()
    ]  # fmt: skip
    return table(("task", "agents", "bytes a step", "as float16", "episodes × steps", "full"), rows)


TABLES: dict[str, tuple[str, Callable[[Figures], str]]] = {  # by block: whose figures, and what is made of them
    "speed": ("throughput", speed),
    "updates": ("gpu_day", gpu_day_page.updates),
    "runs": ("gpu_day", gpu_day_page.runs),
    "growth": ("gpu_day", gpu_day_page.scaling),
    "memory": ("bytes_per_step", memory),
}


def read_all(folder: Path) -> list[Figures]:
    """Return the figures of all machines, the newest first; not those of tiny sizes."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            figures = json.loads(path.read_text()) | {"path": path}
            _ = figures["machine"]["date"], figures["benchmark"]
        except (ValueError, LookupError, TypeError) as why:
            raise UserError(f"{path}: these are no benchmark's figures ({why})") from why
        found.append(figures)
    newest_first = sorted(found, key=lambda figures: figures["machine"]["date"], reverse=True)
    return [figures for figures in newest_first if not figures.get("small", False)]


def made_of(page: str, everything: Sequence[Figures]) -> str:
    """Return the page with every block made anew."""

    def block(found: re.Match[str]) -> str:
        name = found[2]
        if name not in TABLES:
            raise UserError(f"the page asks for figures: {name}; there are {', '.join(TABLES)}")
        benchmark, make = TABLES[name]
        parts = []
        for figures in everything:
            if figures["benchmark"] == benchmark and (text := make(figures)).count("\n") > 1:
                picture = f"\n\n![{name}](figures/{picture_of(figures)})" if name == "growth" else ""
                parts.append(f"{heading(figures)}\n\n{text}{picture}\n")
        nothing = f"No machine's figures are here yet: `python benchmarks/{benchmark}.py`.\n"
        return found[1] + ("\n".join(parts) or nothing) + found[4]

    return BLOCK.sub(block, page)


def picture_of(figures: Figures) -> str:
    """Return the file name of a machine's picture."""
    return figures["path"].stem + ".svg"


def draw(figures: Figures, folder: Path) -> None:
    """Draw how updates grow with agents."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "figures"  # the same figures give the same file
    drawing, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for alg, times in figures["scaling"].items():
        sizes = sorted(map(int, times))
        axes.loglog(sizes, [1e3 * times[str(n)] for n in sizes], "o-", label=alg)
    axes.set(xlabel="agents", ylabel="an update, ms", title=figures["machine"]["name"])
    axes.legend()
    drawing.savefig(folder / picture_of(figures), metadata={"Date": None})
    plt.close(drawing)


def main() -> None:
    """Read the figures, make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is another")
    args = parser.parse_args()
    everything = read_all(args.figures)
    made = {page: made_of(page.read_text(), everything) for page in args.pages}
    other = [page for page, text in made.items() if text != page.read_text()]
    if args.check:
        if other:
            raise RunFailedError(f"{other[0]} is not what the figures make of it: python benchmarks/report.py")
        return
    for page in other:
        page.write_text(made[page])
    grown = [figures for figures in everything if figures.get("scaling")]
    if grown and find_spec("matplotlib") is None:
        raise UserError("the pictures need matplotlib: pip install -r requirements-report.txt")
    for figures in grown:
        draw(figures, args.figures)


if __name__ == "__main__":
    command(main)
