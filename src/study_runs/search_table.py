"""Every trial of a search as CSV, for tables and pictures of one's own and to be kept where the runs are not."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from study_runs.search import reached, seed_values
from study_runs.search_file import Search
from study_runs.search_runs import folder_of, words_of
from utils.files import write_whole

TABLE = "trials.csv"


def write_trials(trials: Iterable[Any], search: Search, results: Path, path: Path) -> None:
    """Write a row for each trial: how it stands, its value at each rung, every seed's at the last it came to, settings.

    Values have all their digits. A cell is empty where a trial did not come so far, or a seed's run was taken away.
    """
    header = ["trial", "state", *map(_at, search.rungs), *map(_of, search.file.seeds), *search.axes]

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, header, lineterminator="\n")
            table.writeheader()
            table.writerows(_rows(trials, search, results))

    write_whole(path, write)


def _rows(trials: Iterable[Any], search: Search, results: Path) -> Iterator[dict[str, Any]]:
    for trial in trials:
        row = {"trial": trial.number, "state": trial.state.name.lower()} | words_of(trial.params)
        if values := reached(trial):
            row |= {_at(steps): value for steps, value in zip(search.rungs, values, strict=False)}
            found = seed_values(search, folder_of(results, trial.params), search.rungs[len(values) - 1])
            row |= {_of(seed): value for seed, value in zip(search.file.seeds, found, strict=True) if value == value}
        yield row


def _at(steps: int) -> str:
    return f"after_{steps}"


def _of(seed: int) -> str:
    return f"seed_{seed}"
