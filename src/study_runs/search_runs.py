"""The runs of a trial, a seed each: planned as a study's are, and done by the driver that does a study's.

They lie in a folder named by the trial's settings, so that a search which was stopped goes on with them.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs import task_name
from settings import as_text, resolve
from study_runs.archives import Standing
from study_runs.asked import CONFIG_DIR
from study_runs.planned_run import PlannedRun
from study_runs.search_file import Search


def words_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return a trial's settings as a command line gives them."""
    return {key: as_text(value) for key, value in params.items()}


def folder_of(results: Path, params: Mapping[str, Any]) -> Path:
    """Return where the runs of a trial with these settings are."""
    text = json.dumps(words_of(params), sort_keys=True)
    return results / "trials" / hashlib.sha256(text.encode()).hexdigest()[:12]


def runs_of(search: Search, params: Mapping[str, Any], folder: Path, t_max: int) -> list[PlannedRun]:
    """Return a trial's runs up to a rung of `t_max` steps."""
    file, runs = search.file, []
    for seed in file.seeds:
        place = (folder / f"seed{seed}").absolute()
        given = {**file.settings, **words_of(params), "seed": str(seed), "t_max": str(t_max),
                 "local_results_path": str(place)}  # fmt: skip
        settings = resolve(file.config, file.env_config, given, CONFIG_DIR)
        task = task_name(settings["env"], settings["env_args"])
        runs.append(PlannedRun(file.config, file.env_config, task, None, seed, given, settings, place))
    return runs


def run_in(folder: Path, seed: int) -> Path | None:
    """Return the folder of a trial's seed, of several the one begun last; None where there is none."""
    found = (path.parent for path in (folder / f"seed{seed}").glob("sacred/*/*/*/config.json"))
    return max(found, key=lambda run: int(run.name), default=None)


class LogView:
    """Writes what the driver says of the runs into the search's log."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def say(self, line: str) -> None:
        """Add a line."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def show(self, standings: Mapping[str, Standing], gave_up: Mapping[str, str], last: bool) -> None:
        """Show nothing: a search prints a line per trial."""
