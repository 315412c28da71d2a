"""A table in the layout of the paper's Table 1: methods across, in blocks; environments and tasks down; best in bold.

Letters: s runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comparison.families import FAMILIES, family_of
from comparison.intervals import mean_interval
from comparison.pooling import Group
from comparison.scores import scores
from comparison.tables import DASH, LATEX, Table, figure_text, notes_on
from comparison.verdicts import basis

BLOCK = 6  # methods beside each other: a page is as wide as that
BEST = "*"
NOTES = (
    "Mean over seeds and half the width of its 95% interval; a mean over tasks is of seeds' means, and has none",
    f"{BEST} (bold in LaTeX): the highest mean of its row; «Comparisons» says what may be said of it",
)
Cell = tuple[float, float]  # the mean, and half the width of its interval


@dataclass(frozen=True)
class LayoutTable(Table):
    """The table with its LaTeX, which pandas would not bring into blocks."""

    latex: str = ""

    def write(self, folder: Path) -> list[str]:
        """Write the table as CSV and LaTeX and return the names of the files."""
        names = [f"{self.name}.csv", f"{self.name}.tex"]
        self.data.to_csv(folder / names[0], index=False)
        (folder / names[1]).write_text(self.latex, encoding="utf-8")
        return names


def layout_table(groups: Sequence[Group]) -> Table:
    """Return the table of all groups' lines: absolute metric where all runs of a task have it, else the final value."""
    families = {line.label: family_of(line) for group in groups for line in group.lines}
    labels = sorted(families, key=lambda label: (FAMILIES.index(families[label]), label))
    rows = dict(_rows(groups))
    columns = [f"method {place + 1}" for place in range(min(BLOCK, max(map(len, _blocks(labels, families)))))]
    shown, body = [], []
    for block in _blocks(labels, families):
        head = [f"Environments ({families[block[0]]})", *block]
        shown.append(head)
        if body:
            body.append(r"\midrule")
        body.append(_line([rf"\textbf{{{text.translate(LATEX)}}}" for text in head]))
        for name, cells in rows.items():
            texts = [_text(cells.get(label), _is_best(label, cells)) for label in block]
            shown.append([name, *texts])
            body.append(_line([name.translate(LATEX), *(_in_latex(text) for text in texts)]))
    frame = pd.DataFrame(shown, columns=["", *columns]).fillna("")
    data = pd.DataFrame(
        [(name, label, families[label], *cells[label]) for name, cells in rows.items() for label in labels
         if label in cells],
        columns=["row", "algorithm", "family", "mean", "half width"],
    )  # fmt: skip
    notes = (*NOTES, *notes_on(groups))
    heading = "Methods by family, tasks down"
    return LayoutTable("layout", heading, frame, data, notes, _latex(heading, notes, body, len(columns)))


def _blocks(labels: Sequence[str], families: Mapping[str, str]) -> list[list[str]]:
    """Return the methods that stand beside each other: those of a family, as many as a page is wide."""
    of_each = [[label for label in labels if families[label] == family] for family in FAMILIES]
    return [mine[i : i + BLOCK] for mine in of_each for i in range(0, len(mine), BLOCK)]


def _rows(groups: Sequence[Group]) -> Iterator[tuple[str, dict[str, Cell]]]:
    """Yield a row for every task, and after the tasks of an environment their mean, of methods that have them all."""
    by_environment: dict[str, list[tuple[Group, dict[str, Cell]]]] = {}
    for group in groups:
        name = basis(group)
        cells = {line.label: _cell(scores(line, group.metric)[name]) for line in group.lines}
        by_environment.setdefault(group.conditions["environment"], []).append((group, cells))
    for environment, found in by_environment.items():
        yield from ((group.title, cells) for group, cells in found)
        if len(found) > 1:
            common = set.intersection(*(set(cells) for _, cells in found))
            means = {label: (float(np.mean([cells[label][0] for _, cells in found])), np.nan) for label in common}
            yield f"{environment}: mean of {len(found)} tasks", means


def _cell(values: np.ndarray) -> Cell:
    mean, low, high = mean_interval(values)
    return float(mean), float(high - low) / 2


def _is_best(label: str, cells: Mapping[str, Cell]) -> bool:
    means = [mean for mean, _ in cells.values() if np.isfinite(mean)]
    return label in cells and bool(means) and cells[label][0] >= max(means)


def _text(cell: Cell | None, best: bool) -> str:
    if cell is None or not np.isfinite(cell[0]):
        return DASH
    half = f" ± {figure_text(cell[1])}" if np.isfinite(cell[1]) else ""
    return f"{figure_text(cell[0])}{half}{BEST if best else ''}"


def _in_latex(text: str) -> str:
    """Return a cell in LaTeX: the mean in bold where it is the best."""
    mean, _, half = text.removesuffix(BEST).partition(" ± ")
    mean = rf"\textbf{{{mean}}}" if text.endswith(BEST) else mean
    return mean.replace(DASH, "--") + (rf" $\pm$ {half}" if half else "")


def _line(texts: Sequence[str]) -> str:
    return " & ".join(texts) + r" \\"


def _latex(heading: str, notes: Sequence[str], body: Sequence[str], columns: int) -> str:
    caption = ". ".join([heading, *notes]).replace(f"{BEST} (bold in LaTeX)", "Bold").translate(LATEX)
    lines = [
        r"\begin{table}", rf"\caption{{{caption}}}", r"\label{tab:layout}",
        rf"\begin{{tabular}}{{l{'r' * columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}",
        r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)
