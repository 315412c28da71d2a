"""What a tortured run has measured: whether it equals its undisturbed twin, and what of it is nowhere any more."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study_runs.planned_run import PlannedRun
from training.aside import ASIDE, KEPT_AS, METRICS
from training.checkpoint import CHECKPOINTS, NUMBERS, TENSORS
from training.going_on import LISTS

OF_THE_MACHINE = ("time_", "steps_per_second", "env_restarts", "episodes_lost")
Measured = dict[tuple[str, Any], float | None]  # a figure by name and step, or a row by the name of its list


def differences(folder: Path, twin: Path) -> list[str]:
    """Return in what a finished run differs from its twin."""
    found = ["figures"] if _figures(folder / METRICS) != _figures(twin / METRICS) else []
    found += [name for name in LISTS if _rows(folder / name) != _rows(twin / name)]
    last, twins_last = checkpoints(folder)[-1], checkpoints(twin)[-1]
    found += [] if last.name == twins_last.name else ["the last checkpoint's step"]
    parts = (TENSORS, NUMBERS)
    return found + [name for name in parts if (last / name).read_bytes() != (twins_last / name).read_bytes()]


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's checkpoints, damaged ones too, the last one last."""
    return sorted((folder / CHECKPOINTS).glob("t_*"), key=lambda path: int(path.name[2:]))


def measured(folder: Path) -> Measured:
    """Return what a run's folder holds in the first place; nothing of a file that is not there or damaged."""
    rows = {(name, row): None for name in LISTS for row in _rows(folder / name)}
    return _figures(folder / METRICS) | rows


def held(folder: Path) -> Measured:
    """Return what a run's folder holds anywhere: put aside, or with a checkpoint."""
    found = measured(folder)
    for place in [*(folder / ASIDE).glob("*"), *checkpoints(folder)]:
        found |= _figures(place / KEPT_AS[METRICS])
        found |= {(name, row): None for name in LISTS for row in _rows(place / name)}
    return found


def _figures(path: Path) -> Measured:
    """Return the figures of a file, but for those that hang on the machine."""
    try:
        return {
            (name, step): value
            for name, series in json.loads(path.read_text()).items()
            for step, value in zip(series["steps"], series["values"], strict=True)
            if not name.startswith(OF_THE_MACHINE)
        }
    except (OSError, ValueError):
        return {}


def _rows(path: Path) -> list[str]:
    """Return the whole lines of a list of episodes."""
    try:
        return path.read_text().split("\n")[:-1]
    except OSError:
        return []


class Ledger:
    """Takes down what runs have measured whenever it looks, and says in the end what of it is nowhere.

    What the monkey itself destroyed is not asked for: after a cut, `forget` goes by what that has left.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self.runs = list(runs)
        self.seen: dict[str, set[tuple[str, Any]]] = {run.name: set() for run in self.runs}

    def look(self) -> None:
        """Take down what stands in the runs' folders now."""
        for run in self.runs:
            for folder in _folders(run):
                self.seen[run.name] |= measured(folder).keys()

    def forget(self, folder: Path) -> None:
        """Take the run that works in a folder to have measured what can still be read."""
        for run in self.runs:
            if folder in _folders(run):
                self.seen[run.name] = set(_held(run))

    def judge(self, run: PlannedRun, finished: Path | None, twin: Path) -> tuple[list[str], int]:
        """Return in what a run differs from its twin, and how many of its figures and rows are lost.

        Of a run that was refused nothing may be missing that it ever had; a finished one must have all of its twin's.
        """
        here, wanted = _held(run), measured(twin)
        if finished is None:
            other = any(key not in wanted or wanted[key] != value for key, value in here.items())
            return ["not finished", *(["figures"] if other else [])], len(self.seen[run.name] - here.keys())
        missing = (self.seen[run.name] - here.keys()) | (wanted.keys() - measured(finished).keys())
        return differences(finished, twin), len(missing)


def _folders(run: PlannedRun) -> Iterator[Path]:
    """Yield the folders that a run was begun in."""
    return (path for path in (run.results / "sacred" / run.task / run.algorithm).glob("*") if path.name.isdecimal())


def _held(run: PlannedRun) -> Mapping[tuple[str, Any], float | None]:
    return {key: value for folder in _folders(run) for key, value in held(folder).items()}
