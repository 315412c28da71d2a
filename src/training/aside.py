"""What a run that goes on would overwrite is put aside first, below `aside/` in its folder: nothing measured is lost.

A copy of figures goes once each of them was measured again; what `restart=true` moves away stays.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.files import flush, make_folder

ASIDE = "aside"
METRICS = "metrics.json"  # sacred's
OF_THE_MACHINE = ("time_", "steps_per_second")  # figures that say nothing of the run
KEPT_AS = {METRICS: "figures.json"}  # under its own name it would pass for a run


def copy_aside(folder: Path, names: list[str], label: str) -> Path:
    """Copy files of a run's folder, those that there are, into a new place `aside/<label>_<number>`; return it."""
    place = _new_place(folder, label)
    for name in names:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, place / KEPT_AS.get(name, name))
            flush(place / KEPT_AS.get(name, name))
    flush(place)
    return place


def move_aside(folder: Path, names: list[str], label: str) -> Path:
    """Move files and folders of a run's folder, those that there are, into a new place; return it."""
    place = _new_place(folder, label)
    for name in names:
        if (folder / name).exists():
            os.replace(folder / name, place / KEPT_AS.get(Path(name).name, Path(name).name))
    flush(place)
    flush(folder)
    return place


def forget_measured_again(folder: Path, history: Mapping[str, Any]) -> None:
    """Remove the copies of whose figures each, by name and step, stands in the history of a saved checkpoint again."""
    for place in (folder / ASIDE).glob("t_*"):
        figures = place / KEPT_AS[METRICS]
        try:
            copied = json.loads(figures.read_text())
            again = all(
                set(series["steps"]) <= set(history.get(name, {"steps": ()})["steps"])
                for name, series in copied.items()
                if not name.startswith(OF_THE_MACHINE)
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # a copy of figures that were damaged already, and perhaps worth a look
        if again:
            shutil.rmtree(place)


def _new_place(folder: Path, label: str) -> Path:
    make_folder(folder / ASIDE)
    number = 1
    while (place := folder / ASIDE / f"{label}_{number}").exists():
        number += 1
    make_folder(place)
    return place
