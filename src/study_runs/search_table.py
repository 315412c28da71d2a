"""Every trial of a search as CSV, for tables and pictures of one's own and to be kept where the runs are not."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from study_runs.search import seed_value
from study_runs.search_file import Search
from study_runs.search_runs import folder_of, run_in, words_of
from utils.files import write_whole

TABLE = "trials.csv"


def write_trials(trials: Iterable[Any], search: Search, results: Path, path: Path) -> None:
    """Write a row for each trial: how it stands, its value at each rung, every seed's at the last it came to, settings.

    Values have all their digits. A cell is empty where a trial did not come so far, or a seed's run was taken away.
    """
    seeds = search.file.seeds
    header = ["trial", "state", *(f"after_{steps}" for steps in search.rungs), *(f"seed_{seed}" for seed in seeds)]

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*header, *search.axes])
            table.writerows(_rows(trials, search, results))

    write_whole(path, write)


def _rows(trials: Iterable[Any], search: Search, results: Path) -> Iterator[list[Any]]:
    for trial in trials:
        values = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        words = words_of(trial.params)
        seeds: list[str | float] = [""] * len(search.file.seeds)
        if values:
            folder, rung = folder_of(results, trial.params), search.rungs[len(values) - 1]
            runs = [run_in(folder, seed) for seed in search.file.seeds]
            seeds = ["" if run is None else seed_value(search, run, rung) for run in runs]
        missing = [""] * (len(search.rungs) - len(values))
        settings = [words.get(key, "") for key in search.axes]
        yield [trial.number, trial.state.name.lower(), *values, *missing, *seeds, *settings]
