"""What is written and printed of cross-play: tables as CSV, the matrix as PNG and SVG."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparison.intervals import Summary, summary
from deployment.pairings import Between, Pairing, Player, has_methods
from runners.base_runner import EpisodeResult
from utils.panels import DPI, plain

PAIRS, METHODS, EPISODES, PICTURES = "pairs.csv", "methods.csv", "episodes.csv", ("matrix.png", "matrix.svg")
CELL, LETTER, TEXT = 0.95, 0.085, 8  # inches, inches, points


def names_of(players: Sequence[Player]) -> tuple[str, ...]:
    """Return the names of the files that are written."""
    return (PAIRS, *([METHODS] if has_methods(players) else ()), EPISODES, *PICTURES)


def write(
    folder: Path, players: Sequence[Player], pairings: Sequence[Pairing], between: Sequence[Between], title: str
) -> None:
    """Write every file into a folder, see `names_of`."""
    _write_rows(folder / PAIRS, _pair_rows(players, pairings))
    _write_rows(folder / EPISODES, _episode_rows(players, pairings))
    if between:
        _write_rows(folder / METHODS, _method_rows(between))
    figure = picture(players, pairings, between, title)
    for name in PICTURES:
        figure.savefig(folder / name)


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _pair_rows(players: Sequence[Player], pairings: Sequence[Pairing]) -> Iterable[dict[str, Any]]:
    for pair in pairings:
        mean, low, high, episodes = summary(pair.returns, "mean_interval")
        row, column = players[pair.row], players[pair.column]
        yield {
            "row": row.label, "column": column.label, "row_run": row.path, "column_run": column.path,
            "episodes": episodes, "return_mean": mean, "return_low": low, "return_high": high,
            "length_mean": float(np.mean([result.length for result in pair.results])), **_won(pair.results),
        }  # fmt: skip


def _won(results: Sequence[EpisodeResult]) -> dict[str, float]:
    won = [result.info["battle_won"] for result in results if "battle_won" in result.info]
    return {"won_mean": float(np.mean(won))} if won else {}


def _episode_rows(players: Sequence[Player], pairings: Sequence[Pairing]) -> Iterable[dict[str, Any]]:
    for pair in pairings:
        for result in pair.results:
            yield {
                "row": players[pair.row].label, "column": players[pair.column].label, "seed": result.seed,
                "return": result.episode_return, "length": result.length, "truncated": int(result.truncated),
            }  # fmt: skip


def _method_rows(between: Sequence[Between]) -> Iterable[dict[str, Any]]:
    for each in between:
        mean, low, high, pairs = each.value
        kind = "self-play" if each.self_play else "cross-play"
        yield {"row": each.row, "column": each.column, "kind": kind, "pairs": pairs, "return_mean": mean,
               "return_low": low, "return_high": high}  # fmt: skip


def tables(players: Sequence[Player], pairings: Sequence[Pairing], between: Sequence[Between]) -> str:
    """Return what is printed: the matrix in Markdown, and that of methods where one has several runs."""
    labels = [player.label for player in players]
    cells = [[told(summary(pair.returns, "mean_interval")) for pair in row] for row in _square(players, pairings)]
    text = _markdown("", labels, labels, cells)
    if not between:
        return text
    methods = list(dict.fromkeys(player.method for player in players))
    found = {(each.row, each.column, each.self_play): told(each.value) for each in between}
    cells = [
        [found[row, row, True], *(found.get((row, column, False), "–") for column in methods)] for row in methods
    ]  # fmt: skip
    return f"{text}\n\n{_markdown('over runs and pairs of runs', methods, ['with itself', *methods], cells)}"


def team_told(players: Sequence[Player], results: Sequence[EpisodeResult], heading: str) -> str:
    """Return how one team did, with who sat where."""
    returns = np.array([result.episode_return for result in results])
    seats = [f"seat {seat}: {player.label}" for seat, player in enumerate(players, start=1)]
    return "\n".join([heading, *seats, f"return {told(summary(returns, 'mean_interval'))}"])


def told(value: Summary) -> str:
    """Return a mean and half of its interval in words."""
    half = (value.high - value.low) / 2
    return f"{value.centre:.3f}" + (f" ± {half:.3f}" if np.isfinite(half) else "")


def _markdown(corner: str, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    head = [corner, *columns]
    lines = [head, ["---"] * len(head), *([name, *each] for name, each in zip(rows, cells, strict=True))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _square(players: Sequence[Player], pairings: Sequence[Pairing]) -> list[list[Pairing]]:
    n = len(players)
    return [list(pairings[row * n : (row + 1) * n]) for row in range(n)]


def picture(
    players: Sequence[Player], pairings: Sequence[Pairing], between: Sequence[Between], title: str
) -> Figure:  # fmt: skip
    """Return the matrix of mean returns, with half of the interval below each; methods' cross-play beside it."""
    labels = [plain(player.label) for player in players]
    squares = [(labels, [[summary(p.returns, "mean_interval") for p in row] for row in _square(players, pairings)])]
    if between:
        methods = list(dict.fromkeys(player.method for player in players))
        found = {(each.row, each.column): each.value for each in between if not each.self_play}
        nothing = Summary(np.nan, np.nan, np.nan, 0)
        cells = [[found.get((row, column), nothing) for column in methods] for row in methods]
        squares.append(([plain(method) for method in methods], cells))
    margins = [LETTER * max(map(len, names)) + 0.3 for names, _ in squares]
    widths = [CELL * len(names) + margin for (names, _), margin in zip(squares, margins, strict=True)]
    size = (sum(widths) + 1.4, max(CELL * len(names) + m for (names, _), m in zip(squares, margins, strict=True)) + 0.8)
    figure = Figure(figsize=size, layout="constrained", dpi=DPI)
    panels = figure.subplots(1, len(squares), squeeze=False, width_ratios=widths)[0]
    means = [[value.centre for value in row] for row in squares[0][1]]
    low, high = float(np.min(means)), float(np.max(means))
    for panel, (names, values) in zip(panels, squares, strict=True):
        drawn = _matrix(panel, names, values, low, high)
    panels[0].set_title(plain(title), fontsize=TEXT + 1)
    if between:
        panels[1].set_title("cross-play, over pairs of different runs", fontsize=TEXT + 1)
    figure.colorbar(drawn, ax=list(panels), label="return", shrink=0.8)
    return figure


def _matrix(panel: Axes, names: Sequence[str], values: Sequence[Sequence[Summary]], low: float, high: float) -> Any:
    means = np.array([[value.centre for value in row] for row in values])
    high = high if high > low else low + 1
    drawn = panel.imshow(means, cmap="viridis", vmin=low, vmax=high)
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=TEXT)
    panel.set_yticks(range(len(names)), names, fontsize=TEXT)
    for row, column in np.argwhere(np.isfinite(means)):
        value = values[row][column]
        dark = value.centre < low + 0.6 * (high - low)
        panel.text(column, row, told(value).replace(" ±", "\n±"), ha="center", va="center", fontsize=TEXT,
                   color="white" if dark else "black")  # fmt: skip
    return drawn
