"""The runs below a folder as the page shows them, kept up to date by a thread that reads what has changed.

What is asked for is answered out of memory, so that a page never waits for a file; reading takes a share of the time
alone, however many runs there are and however large their figures have grown.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from comparison.archives import ArchivedRun, is_series, path_order, read_run, run_folders
from comparison.line_styles import DASHES, style_of
from watching.beneath import load_json, signature
from watching.curves import Curve, curve_of

DEFAULT = "test_return_mean"
PAUSE, SCAN = 1.0, 5.0  # seconds between two looks at the files, and at which runs there are
SHARE = 4.0  # times what looking took is waited at least
RUNNING = "still running"


@dataclass(frozen=True)
class Seen:
    """A run as it was last read. `archived` has no figures any more: they are `curves`, and `damaged` those without."""

    id: str
    archived: ArchivedRun
    curves: Mapping[str, Curve] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    signatures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.archived.folder

    @property
    def t_env(self) -> int | float:
        """The environment steps of its latest figure."""
        return max((curve.steps[-1] for curve in self.curves.values()), default=0)

    def latest(self, name: str) -> float | None:
        """Return the latest value of a figure, None where there is none."""
        return self.curves[name].values[-1] if name in self.curves else None

    def status(self, now: datetime) -> str:
        """Return how it stands, in a few words."""
        if not self.archived.status:
            return "begun" if signature(self.folder / "config.json") else "empty"
        return self.archived.ended(now)


class Runs:
    """All runs below `root`, by their ids; `version` changes whenever something of them has."""

    def __init__(self, root: Path) -> None:
        self.root, self.seen, self.version = root.resolve(), dict[str, Seen](), 0
        self.complete = False  # whether every run has been read once
        self._scanned, self._done = -float("inf"), Event()
        self._folders: list[Path] = []

    def start(self) -> None:
        """Begin to follow the files, in a thread that ends with the process."""
        Thread(target=self._follow, daemon=True).start()

    def stop(self) -> None:
        """Follow no longer."""
        self._done.set()

    def _follow(self) -> None:
        pause = 0.0
        while not self._done.wait(pause):
            start = time.monotonic()
            self.refresh()
            pause = max(PAUSE, SHARE * (time.monotonic() - start))

    def refresh(self) -> None:
        """Look at every run, and read what has changed."""
        if time.monotonic() - self._scanned >= SCAN:
            self._folders = sorted(run_folders(self.root), key=path_order)
            self._scanned = time.monotonic()
        gone = self.seen.keys() - {id_of(self.root, folder) for folder in self._folders}
        if gone:
            self._put({key: run for key, run in self.seen.items() if key not in gone})
        for folder in self._folders:
            key = id_of(self.root, folder)
            now = _read(self.root, key, folder, self.seen.get(key))
            if now is not self.seen.get(key):
                self._put({**self.seen, key: now})
            if self._done.is_set():
                return
        self.complete = True

    def _put(self, seen: dict[str, Seen]) -> None:
        self.seen = seen  # a new mapping: who reads the old one meanwhile is not disturbed
        self.version += 1

    def sorted(self) -> list[Seen]:
        """Return the runs by task, algorithm and number."""
        return sorted(self.seen.values(), key=lambda run: path_order(run.folder))


def id_of(root: Path, folder: Path) -> str:
    """Return what a run is called on the page: nothing that could be taken for a path."""
    return hashlib.sha256(str(folder.relative_to(root)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _read(root: Path, key: str, folder: Path, before: Seen | None) -> Seen:
    """Return a run as it is now; the one before where nothing has changed. Figures that have not are not read again."""
    names = ("config.json", "metrics.json", "run.json", "info.json")
    signatures = {name: signature(folder / name) for name in names}
    if before is not None and signatures == before.signatures:
        return before
    load = partial(load_json, root)
    kept = [n for n in ("config.json", "metrics.json") if before and signatures[n] == before.signatures[n]]
    if before is not None and len(kept) == 2 and not before.archived.framework:  # a heartbeat
        try:
            status, info = load(folder / "run.json"), load(folder / "info.json")
            if isinstance(status, dict) and isinstance(info, dict):
                archived = replace(before.archived, status=status, info=info)
                return replace(before, archived=archived, signatures=signatures)
        except (OSError, ValueError, RecursionError):
            pass  # what is wrong with it is said below
    archived = read_run(folder, load)
    good = {name: series for name, series in archived.metrics.items() if is_series(series)}
    curves = {name: curve_of(series) for name, series in good.items()}
    damaged = tuple(sorted(archived.metrics.keys() - good.keys()))
    return Seen(key, replace(archived, metrics={}), curves, damaged, signatures)


def metrics_of(runs: Iterable[Seen]) -> list[str]:
    """Return the names of all figures that some run has."""
    return sorted({name for run in runs for name in run.curves})


def shown_metric(runs: Iterable[Seen], asked: str | None) -> str:
    """Return the figure to show: the one asked for where some run has it, else what the first run reports."""
    runs = list(runs)
    names = metrics_of(runs)
    reported = next((run.archived.config.get("report_metric") for run in runs if run.curves), None)
    return next((name for name in (asked, reported, DEFAULT, *names) if name in names), DEFAULT)


def overview(runs: Runs, asked: str | None) -> dict[str, Any]:
    """Return what the page shows of all runs: a row for each, and a plot of one figure for each task."""
    now, every = datetime.now(UTC), runs.sorted()
    metric = shown_metric(every, asked)
    plots: dict[str, list[dict[str, Any]]] = {}
    for run in every:
        if metric in run.curves:
            curve = run.curves[metric]
            plots.setdefault(run.archived.task, []).append({
                "id": run.id, "method": run.archived.algorithm, "name": _name(run),
                "x": curve.steps, "y": curve.values, **_line(run.archived.algorithm),
            })  # fmt: skip
    return {
        "complete": runs.complete, "metric": metric, "metrics": metrics_of(every),
        "runs": [row(run, metric, now) for run in every],
        "plots": [{"task": task, "curves": curves} for task, curves in sorted(plots.items())],
    }  # fmt: skip


@cache
def _line(algorithm: str) -> dict[str, str]:
    style = style_of(algorithm.rpartition(" ")[2])
    return {"colour": style.colour, "dash": DASHES[style.line]}


def _name(run: Seen) -> str:
    return f"{run.archived.algorithm}, seed {_seed(run)}, run {run.folder.name}"


def _seed(run: Seen) -> str:
    return str(run.archived.config.get("seed", "?"))[:20]


def row(run: Seen, metric: str, now: datetime) -> dict[str, Any]:
    """Return a run's row in the table."""
    archived, t_max, speed = run.archived, run.archived.config.get("t_max"), run.latest("steps_per_second")
    status = run.status(now)
    known = t_max if isinstance(t_max, int) and not isinstance(t_max, bool) and t_max > 0 else None
    left = (known - run.t_env) / speed if status == RUNNING and known and speed else None
    return {
        "id": run.id, "task": archived.task, "method": archived.algorithm, "name": _name(run),
        "seed": _seed(run), "folder": str(run.folder), "status": status,
        "t_env": run.t_env, "t_max": known, "value": run.latest(metric), "speed": speed,
        "left": left, "problem": _problem(run, status),
    }  # fmt: skip


def _problem(run: Seen, status: str) -> str:
    young = status in (RUNNING, "begun") and run.archived.problem == "metrics.json is missing"
    return "no figures yet" if young else run.archived.problem
