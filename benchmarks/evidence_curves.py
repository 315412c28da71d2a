"""Curves of what lies in docs/evidence as CSV: a panel for each task, a line for each algorithm.

    python benchmarks/evidence_curves.py docs/evidence/policies/lbf.csv --only mappo qmix --out curves.png

A file has the columns task, algorithm, seed, t_env, and `test_return_mean` or `figure` and `value`.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from answers import command

from comparison import mean_curves
from comparison.group_charts import counted
from comparison.mean_curves import Curves, Line
from comparison.series import Series

RETURN, WON = "test_return_mean", "test_battle_won_mean"
Found = dict[tuple[str, str], dict[str, dict[str, list[tuple[int, float]]]]]  # by task and figure, algorithm, seed


def read(paths: list[Path], only: list[str]) -> Found:
    """Return the rows of the algorithms `only`, or of all; of a task with battles those won, and not its returns."""
    found: Found = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                figure = row.get("figure", RETURN)
                if figure in (RETURN, WON) and (not only or row["algorithm"] in only):
                    point = int(row["t_env"]), float(row["value" if "figure" in row else RETURN])
                    found[row["task"], figure][row["algorithm"]][row["seed"]].append(point)
    return {key: lines for key, lines in found.items() if key[1] == WON or (key[0], WON) not in found}


def panels(found: Found) -> list[Curves]:
    """Return what each panel shows, a line for each algorithm; the first word of its name has its style."""
    return [
        Curves(task, figure, [Line(counted(label, len(seeds)), label.split()[0],
                                   [Series(*np.array(sorted(points)).T) for points in seeds.values()])
                              for label, seeds in sorted(lines.items())])
        for (task, figure), lines in found.items()
    ]  # fmt: skip


def main() -> None:
    """Draw, and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="CSV", help="evidence files")
    parser.add_argument("--only", nargs="+", default=[], metavar="ALGORITHM", help="as the files name them")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="the picture")
    args = parser.parse_args()
    mean_curves.draw(panels(read(args.files, args.only))).savefig(args.out)
    print(args.out)


if __name__ == "__main__":
    command(main)
