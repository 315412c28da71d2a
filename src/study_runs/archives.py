"""What the archives say of a study's runs. They are data: reading them runs no code, and changes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from comparison.archives import diverged_at
from settings import identity, read_json, resumed_settings
from study_runs.planned_run import PlannedRun
from utils.errors import UserError
from utils.locks import is_held, is_locked

LOCKS = ".runs"  # below the study's results: one file per run, locked while a process works at it


class State(Enum):
    """Where a run stands."""

    WAITING = "waiting"  # has no archive yet
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"  # was asked to
    FAILED = "failed"
    DIVERGED = "diverged"  # failed by numbers that are not finite, as it would again
    DIED = "died"  # without a word

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: what diverged is a result too."""
        return self in (State.FINISHED, State.DIVERGED)


@dataclass(frozen=True)
class Standing:
    """How far a run is: environment steps, steps per second, the last test return; None where it has said nothing."""

    state: State
    folder: Path | None = None
    t_env: int = 0
    steps_per_second: float | None = None
    test_return: float | None = None


class Archives:
    """Finds the archives of planned runs by their settings; reads again only what has changed since the last time."""

    def __init__(self, config_dir: Path) -> None:
        self._config_dir = config_dir
        self._settings: dict[tuple[Path, int], Mapping[str, Any] | None] = {}
        self._read: dict[Path, tuple[int, dict[str, Any]]] = {}

    def standing(self, run: PlannedRun) -> Standing:
        """Return where a run stands."""
        folder = self._folder(run)
        running = is_locked(lock_path(run)) or (folder is not None and is_held(folder))  # by a study, or by hand
        if folder is None:
            return Standing(State.RUNNING if running else State.WAITING)
        run_json = self._json(folder / "run.json")
        status = run_json.get("status")
        long_enough = self._json(folder / "config.json").get("t_max", 0) >= run.t_max
        if running:
            state = State.RUNNING
        elif status == "COMPLETED":
            state = State.FINISHED if long_enough else State.STOPPED
        elif diverged_at(run_json, self._json(folder / "info.json")) is not None:
            state = State.DIVERGED
        else:
            state = {"INTERRUPTED": State.STOPPED, "FAILED": State.FAILED}.get(str(status), State.DIED)
        metrics = self._json(folder / "metrics.json")
        t_env = max((max(series["steps"], default=0) for series in metrics.values()), default=0)
        speed, test = (_last(metrics, name) for name in ("steps_per_second", "test_return_mean"))
        return Standing(state, folder, t_env, speed, test)

    def strangers(self, runs: Iterable[PlannedRun]) -> list[Path]:
        """Return the archives below the study's folders that belong to none of its runs: its file has changed."""
        runs = list(runs)
        folders = {folder for results in {run.results for run in runs} for folder in _folders(results, "*", "*")}
        return sorted(folders - {folder for run in runs for folder in self._matching(run)})

    def _folder(self, run: PlannedRun) -> Path | None:
        """Return the run's archive: one that is finished, or is being worked at, or else the one begun last."""
        matching = self._matching(run)
        finished = [f for f in matching if self._json(f / "run.json").get("status") == "COMPLETED"]
        at_work = [] if finished else [f for f in matching if is_held(f)]
        return max(finished or at_work or matching, key=lambda folder: int(folder.name), default=None)

    def _matching(self, run: PlannedRun) -> list[Path]:
        wanted = identity(run.settings, self._config_dir)
        folders = _folders(run.results, run.task, run.algorithm)
        return [folder for folder in folders if self._identity_of(folder) == wanted]

    def _identity_of(self, folder: Path) -> Mapping[str, Any] | None:
        config = folder / "config.json"
        key = (folder, config.stat().st_mtime_ns)
        if key not in self._settings:
            try:
                self._settings[key] = identity(resumed_settings(folder, {}, self._config_dir), self._config_dir)
            except UserError:  # of another version, or damaged: none of ours
                self._settings[key] = None
        return self._settings[key]

    def _json(self, path: Path) -> dict[str, Any]:
        """Return what a file holds, or nothing while it is not there; the archive's files appear whole."""
        try:
            changed = path.stat().st_mtime_ns
            if self._read.get(path, (None, None))[0] != changed:
                held = read_json(path)
                self._read[path] = (changed, held if isinstance(held, dict) else {})
        except (OSError, UserError):
            return {}
        return self._read[path][1]


def lock_path(run: PlannedRun) -> Path:
    """Return the file that is locked while a process works at a run."""
    return run.results / LOCKS / f"{run.name}.lock"


def log_path(run: PlannedRun) -> Path:
    """Return the file that takes what the run's processes print."""
    return run.results / LOCKS / f"{run.name}.log"


def _folders(results: Path, task: str, algorithm: str) -> list[Path]:
    found = results.glob(f"sacred/{task}/{algorithm}/*/config.json")
    return [path.parent for path in found if path.parent.name.isdigit()]


def _last(metrics: Mapping[str, Any], name: str) -> float | None:
    values = metrics.get(name, {}).get("values")
    return values[-1] if values else None
