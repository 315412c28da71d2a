"""What every subcommand that looks at a study needs: its file, read and checked."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from settings import file_label
from study_runs.planned_run import PlannedRun, planned_runs
from study_runs.study_file import read_study, running_settings

CONFIG_DIR = Path(__file__).parents[1] / "config"
DRIVER_LOCK = ".driver.lock"


class Study(NamedTuple):
    """A study as its file asks for it. `lock` is held by the process that does its runs."""

    name: str
    runs: list[PlannedRun]
    running: dict[str, Any]

    @property
    def lock(self) -> Path:
        """The file that the process which does the study's runs has locked."""
        results = self.runs[0].results
        return (results if self.runs[0].variant is None else results.parent) / DRIVER_LOCK


def configure_file(parser: ArgumentParser) -> None:
    """Declare the argument that every such subcommand has."""
    parser.add_argument("file", type=Path, metavar="STUDY", help="the study, such as studies/lbf_quick.yaml")


def read(path: Path, flags: Mapping[str, str]) -> Study:
    """Return a study, each of its runs' settings resolved; raise `UserError`, one line, for a mistake in its file."""
    name, study = read_study(path)
    label = file_label(path)
    running = running_settings(study.running, label, flags, CONFIG_DIR)
    return Study(name, planned_runs(name, study, label, CONFIG_DIR), running)
