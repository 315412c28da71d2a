"""The figures of archived runs as one pandas frame in tidy form: a row for each figure at each step."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparison.archives import ArchivedRun, read_runs
from settings import flat
from utils.errors import UserError, nearest
from utils.naming import to_install

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("run", "task", "algorithm", "seed", "status", "metric", "t_env", "value", "time")


def load_runs(
    *folders: str | Path, metrics: Iterable[str] | None = None, settings: Iterable[str] = ()
) -> "pd.DataFrame":
    """Return what the runs in and below some folders have logged, for pandas, seaborn and the like.

    Args:
        folders: runs' folders, or any above them; `results` without any.
        metrics: the figures that are wanted; None takes all.
        settings: settings by dotted name, each to be a column more.

    Returns:
        Columns `run` (the folder), `task`, `algorithm`, `seed`, `status` (sacred's: COMPLETED, RUNNING, …), `metric`,
        `t_env` (environment steps), `value`, `time` (UTC), and the settings. A run that cannot be read is left out,
        with a warning.

    Raises `UserError` where there is no run, none has such a figure or setting, or pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as missing:
        raise UserError(f"load_runs needs pandas: run `{to_install('requirements-report.txt')}`") from missing
    runs = _readable(read_runs(map(Path, folders or ("results",))))
    wanted, columns = None if metrics is None else list(metrics), list(settings)
    _refuse_unknown("metric", wanted or (), {name for run in runs for name in run.metrics})
    _refuse_unknown("setting", columns, {name for run in runs for name in flat(run.config)})
    rows = [row for run in runs for row in _rows(run, wanted, columns)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *columns])
    return frame.assign(time=pd.to_datetime(frame["time"], format="ISO8601", utc=True))


def _readable(runs: list[ArchivedRun]) -> list[ArchivedRun]:
    for run in runs:
        if run.problem:
            warnings.warn(f"{run.folder} is left out: {run.problem}", stacklevel=3)
    kept = [run for run in runs if not run.problem]
    if not kept:
        raise UserError(f"none of the {len(runs)} runs found can be read; {runs[0].folder}: {runs[0].problem}")
    return kept


def _refuse_unknown(what: str, asked: Iterable[str], known: set[str]) -> None:
    for name in asked:
        if name not in known:
            raise UserError(f"no run has a {what} {name!r}; did you mean {nearest(name, known)}?")


def _rows(run: ArchivedRun, metrics: list[str] | None, settings: list[str]) -> Iterator[tuple[Any, ...]]:
    config = flat(run.config)
    status = run.status.get("status", "unknown")
    begin = (str(run.folder), run.task, run.algorithm, run.config["seed"], status)
    end = tuple(config.get(name) for name in settings)
    for name, series in run.metrics.items():
        if metrics is None or name in metrics:
            for step, value, time in zip(series["steps"], series["values"], series["timestamps"], strict=True):
                yield (*begin, name, step, value, time, *end)
