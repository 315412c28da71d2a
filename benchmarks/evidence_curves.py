"""Curves of what lies in docs/evidence as CSV: a panel for each task, a line for each algorithm.

    python benchmarks/evidence_curves.py docs/evidence/policies/lbf.csv --only mappo qmix --out curves.png

A file has the columns task, algorithm, seed, t_env, and `test_return_mean` or `figure` and `value`.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: it works without a display

import matplotlib.pyplot as plt
import numpy as np
from answers import command
from matplotlib.ticker import EngFormatter

from comparison.line_styles import style_of
from comparison.series import Series, aligned

RETURN, WON = "test_return_mean", "test_battle_won_mean"
PER_ROW = 3
Curves = dict[tuple[str, str], dict[str, dict[str, list[tuple[int, float]]]]]  # by task and figure, algorithm, seed


def read(paths: list[Path], only: list[str]) -> Curves:
    """Return the rows of the algorithms `only`, or of all; of a task with battles those won, and not its returns."""
    found: Curves = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                figure = row.get("figure", RETURN)
                if figure in (RETURN, WON) and (not only or row["algorithm"] in only):
                    point = int(row["t_env"]), float(row["value" if "figure" in row else RETURN])
                    found[row["task"], figure][row["algorithm"]][row["seed"]].append(point)
    return {key: lines for key, lines in found.items() if key[1] == WON or (key[0], WON) not in found}


def draw(curves: Curves, out: Path) -> None:
    """Draw means over seeds, shaded from the least to the greatest."""
    columns = min(len(curves), PER_ROW)
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5 * columns, 3.6 * rows), squeeze=False)
    for panel, ((task, name), lines) in zip(axes.flat, curves.items(), strict=False):
        for label, seeds in sorted(lines.items()):
            series = [np.array(sorted(points)).T for points in seeds.values()]
            steps, values = aligned([Series(*one) for one in series])
            style = style_of(label.split()[0])
            seen = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
            panel.plot(steps, values.mean(axis=0), color=style.colour, linestyle=style.line, marker=style.marker,
                       markersize=4, label=f"{label} ({seen})")  # fmt: skip
            if len(seeds) > 1:
                low, high = values.min(axis=0), values.max(axis=0)
                panel.fill_between(steps, low, high, color=style.colour, alpha=0.2, linewidth=0)
        panel.set(title=task, xlabel="environment steps", ylabel=name.replace("_", " "))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    for panel in axes.flat[len(curves) :]:
        panel.remove()
    figure.tight_layout()
    figure.savefig(out, dpi=80)


def main() -> None:
    """Draw, and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="CSV", help="evidence files")
    parser.add_argument("--only", nargs="+", default=[], metavar="ALGORITHM", help="as the files name them")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="the picture")
    args = parser.parse_args()
    draw(read(args.files, args.only), args.out)
    print(args.out)


if __name__ == "__main__":
    command(main)
