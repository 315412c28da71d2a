"""Archived runs as data: what their JSON says, or why it cannot be used. Nothing in an archive is run."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from comparison.foreign import config_as_ours, framework, info_as_ours, metrics_as_ours, task_of
from settings import declared_settings, earlier_values, flat
from utils.errors import UserError

CONFIG_DIR = Path(__file__).parents[1] / "config"
SAYS_RUN = ("config.json", "run.json", "metrics.json")  # where one of them is, a run was started
NEEDED = {"name": str, "seed": int, "env": str, "env_args": dict, "t_max": int, "test_interval": int,
          "test_nepisode": int, "evaluate": bool}  # fmt: skip
SILENT = 300.0  # seconds without a heartbeat, sacred's come every ten, after which a run is taken for dead


@dataclass(frozen=True)
class ArchivedRun:
    """One run's folder: sacred's `config.json`, `metrics.json`, `run.json` and `info.json`.

    `problem` says why its figures cannot be used; then the rest holds what could be read. `framework` names another
    one whose run it is, see `foreign`.
    """

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    framework: str = ""

    @property
    def task(self) -> str:
        """The task's label, which the archive keeps as a folder name; other frameworks keep others there."""
        return task_of(self.config) if self.framework else self.folder.resolve().parents[1].name

    @property
    def algorithm(self) -> str:
        """The name of the algorithm's config, or of its folder where that cannot be read; after its framework's."""
        name = self.config.get("name")
        name = name if isinstance(name, str) else self.folder.resolve().parent.name
        return f"{self.framework} {name}".strip()

    @property
    def starts(self) -> list[Mapping[str, Any]]:
        """What `info.json` says of the code at every start: the first, and those that went on."""
        resumed = self.info.get("resumed")
        later = [start for start in resumed if isinstance(start, dict)] if isinstance(resumed, list) else []
        return [self.info, *later]

    @property
    def commits(self) -> list[str]:
        """The commits that it was worked at with, in their order, each once."""
        return list(dict.fromkeys(str(start.get("commit", "unknown")) for start in self.starts))

    @property
    def machine(self) -> str:
        """Where it ran, and with what of it, in words; empty where it does not tell, or moved from one to another."""
        host = self.status.get("host")
        name = host.get("hostname") if isinstance(host, dict) else None
        later = {str(start["machine"]) for start in self.starts if "machine" in start}
        if not name or len(later | {str(name)}) > 1:
            return ""
        with_what = [f"{key}={self.config[key]}" for key in ("device", "threads") if key in self.config]
        return ", ".join([f"{name} ({host.get('cpu', 'processor not recorded')})", *with_what])

    @property
    def diverged(self) -> int | None:
        """The environment steps at which an update met numbers that are not finite, None where none did."""
        return diverged_at(self.status, self.info)

    def ended(self, now: datetime) -> str:
        """Return how the run ended, in a few words; `now` is an aware time."""
        status = self.status.get("status")
        if self.diverged is not None:
            return f"diverged at {self.diverged:,} steps"
        if status == "RUNNING":
            beat = moment(self.status.get("heartbeat"))
            if beat is None:
                return "unknown: no heartbeat"
            silent = (now - beat).total_seconds() > SILENT
            return f"died: last heartbeat {beat:%Y-%m-%d %H:%M} UTC" if silent else "still running"
        if status == "FAILED":
            trace = self.status.get("fail_trace")
            return f"failed: {str(trace[-1]).strip()}" if isinstance(trace, list) and trace else "failed"
        return status.lower() if isinstance(status, str) else "unknown"


def moment(text: Any) -> datetime | None:
    """Return a time of the archive, which is UTC whether it says so or not; None where it is none."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_runs(folders: Iterable[Path]) -> list[ArchivedRun]:
    """Return the runs in and below the folders, each once, in the order of their paths, damaged ones too.

    Raises `UserError` for a folder below which no run was ever started.
    """
    found: dict[Path, Path] = {}  # a folder may be reached in several ways
    for name in folders:
        paths = list(run_folders(name))
        if not paths:
            raise UserError(f"{name}: no run here; give a folder such as results, or results/sacred/<task>")
        for path in paths:
            found.setdefault(path.resolve(), path)
    return [read_run(found[path]) for path in sorted(found, key=path_order)]


def path_order(path: Path) -> tuple[Any, ...]:
    """Return the key by which runs are sorted: task and algorithm, then the number."""
    return path.parent, int(path.name) if path.name.isdecimal() else -1, path.name


def run_folders(top: Path) -> Iterator[Path]:
    """Yield the folders of runs in and below a folder; links to folders are not followed."""
    for name, below, files in os.walk(top):
        folder = Path(name)
        empty_run = folder.name.isdecimal() and folder.parts[-4:-3] == ("sacred",)
        if empty_run or any(file in files for file in SAYS_RUN):
            below.clear()  # a run's checkpoints hold no other runs
            yield folder


def load_json(path: Path) -> Any:
    """Return what a file of JSON holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_run(folder: Path, load: Callable[[Path], Any] = load_json) -> ArchivedRun:
    """Return a run by its folder, a damaged one too; `load` reads a file, or raises as `load_json` does."""
    read: dict[str, dict[str, Any]] = {}
    problems = []
    for name in (*SAYS_RUN, "info.json"):
        try:
            content = load(folder / name)
        except FileNotFoundError:
            content = {}
            if name != "info.json":
                problems.append(f"{name} is missing")
        except (OSError, ValueError, RecursionError) as why:
            content = {}
            problems.append(f"{name} cannot be read ({type(why).__name__})")
        if not isinstance(content, dict):
            problems.append(f"{name} holds no names")
            content = {}
        read[name] = content
    config, metrics, info = read["config.json"], read["metrics.json"], read["info.json"]
    whose = framework(config)
    if whose:
        problems = [problem for problem in problems if problem != "metrics.json is missing"]
        config, metrics = config_as_ours(config), metrics_as_ours(metrics, info, is_series)
        info = info_as_ours(read["run.json"])
    if not problems:
        problems += _unlike_a_config(config) or _unlike_metrics(metrics)
        if not problems and not whose:
            config = config | _earlier(config)
    return ArchivedRun(folder, config, metrics, read["run.json"], info, "; ".join(problems), whose)


def _earlier(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings stood for that are younger than an archive, where their declarations say so."""
    try:
        pair = (config["name"], config["env_config"], CONFIG_DIR)
        early, declared = earlier_values(flat(config), *pair), declared_settings(*pair)
    except (KeyError, TypeError, UserError):  # configs that this version has not
        return {}
    values = {key: declared[key].parse(text) for key, text in early.items()}
    of_env = {key.removeprefix("env_args."): value for key, value in values.items() if key.startswith("env_args.")}
    others = {key: value for key, value in values.items() if "." not in key}
    return others | {"env_args": config["env_args"] | of_env}


def _unlike_a_config(config: Mapping[str, Any]) -> list[str]:
    wrong = [
        key for key, kind in NEEDED.items()
        if not (is_count(config.get(key)) if kind is int else isinstance(config.get(key), kind))
    ]  # fmt: skip
    return [f"config.json is none of this project's: {', '.join(wrong)}"] if wrong else []


def diverged_at(status: Mapping[str, Any], info: Mapping[str, Any]) -> int | None:
    """Return at which environment step a run diverged, by its `run.json` and `info.json`; None where it did not."""
    told = info.get("diverged")
    steps = told.get("t_env") if isinstance(told, dict) and status.get("status") == "FAILED" else None
    return steps if is_count(steps) else None


def is_count(value: Any) -> bool:
    """Return whether this is a whole number from 0 on, of a size that arrays hold."""
    return type(value) is int and 0 <= value < 2**53


def _unlike_metrics(metrics: Mapping[str, Any]) -> list[str]:
    wrong = sorted(name for name, series in metrics.items() if not is_series(series))
    return [f"metrics.json: {', '.join(wrong[:3])} is damaged"] if wrong else []


def is_series(series: Any) -> bool:
    """Return whether this is `{"steps": [...], "values": [...], "timestamps": [...]}`, steps increasing."""
    parts = ("steps", "values", "timestamps")
    if not isinstance(series, dict) or not all(isinstance(series.get(part), list) for part in parts):
        return False
    steps, values, times = (series[part] for part in parts)
    if not len(steps) == len(values) == len(times) > 0 or any(type(x) not in (int, float) for x in (*steps, *values)):
        return False
    try:
        np.array(values, dtype=float)
        return bool(np.isfinite(np.array(steps, dtype=float)).all()) and all(a < b for a, b in pairwise(steps))
    except OverflowError:  # a whole number that is too large for anything of ours
        return False
