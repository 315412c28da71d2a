"""The greedy evaluations of a run, against environment steps, wall-clock and updates.

Letters: n evaluations.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from comparison.archives import ArchivedRun, is_count, moment
from comparison.series import Series
from utils.errors import UserError

AXES = {  # an evaluation's fields that curves are drawn against -> label
    "steps": "environment steps",
    "updates": "updates of the networks",
    "minutes": "wall-clock time (minutes)",
}


class Evaluations(NamedTuple):
    """The evaluations of one run, (n,) each; None where the archive does not tell.

    `steps`: environment steps; `values`: the mean over an evaluation's episodes; `hours`: since the run began, without
    the time in which it was stopped; `updates`: optimiser steps.
    """

    steps: np.ndarray
    values: np.ndarray
    hours: np.ndarray | None
    updates: np.ndarray | None

    @property
    def minutes(self) -> np.ndarray | None:
        """The hours in minutes."""
        return None if self.hours is None else 60 * self.hours

    def against(self, axis: str) -> Series | None:
        """Return the values against one of `AXES`; of several at the same place the last."""
        places = {"steps": self.steps, "updates": self.updates, "minutes": self.minutes}[axis]
        if places is None:
            return None
        last = np.append(np.diff(places) > 0, True)
        return Series(places[last], self.values[last])


def evaluations_of(run: ArchivedRun, metric: str) -> Evaluations:
    """Return a run's evaluations; raise `UserError`, saying why, where there are none to use."""
    if metric not in run.metrics:
        raise UserError(f"it has logged no {metric}")
    steps, values = (np.array(run.metrics[metric][part], dtype=float) for part in ("steps", "values"))
    if not np.isfinite(values).all():
        raise UserError(f"its {metric} is not always a number")
    return Evaluations(steps, values, _hours(run, metric), _updates(run, steps))


def smoothed(evaluations: Evaluations, count: int) -> Evaluations:
    """Return every value as the mean of the last `count` up to it, fewer where there are fewer."""
    totals = np.concatenate([[0.0], np.cumsum(evaluations.values)])
    ends = np.arange(1, len(totals))
    starts = np.maximum(ends - count, 0)
    return evaluations._replace(values=(totals[ends] - totals[starts]) / (ends - starts))


def _hours(run: ArchivedRun, metric: str) -> np.ndarray | None:
    start = moment(run.status.get("start_time"))
    times = [moment(text) for text in run.metrics[metric]["timestamps"]]
    steps = run.metrics[metric]["steps"]
    if start is None or None in times:
        return None
    resumed = run.info.get("resumed", [])
    if resumed:
        # sacred writes a resumed run's start anew: its first figure is as near to the first start as it tells.
        start = min([start, *_times(run.metrics)])
    seconds = np.array([(time - start).total_seconds() for time in times])
    for stop in resumed if isinstance(resumed, list) else []:
        if (again := _stopped(stop, run.metrics)) is None:
            return None
        t_env, pause = again
        seconds[np.array(steps) > t_env] -= pause
    hours = seconds / 3600
    return hours if (np.diff(hours) >= 0).all() and hours[0] >= 0 else None


def _times(metrics: Mapping[str, Any], until: float = np.inf) -> list[Any]:
    """Return the times of the figures logged at `until` environment steps or before."""
    return [
        time
        for series in metrics.values()
        for step, text in zip(series["steps"], series["timestamps"], strict=True)
        if step <= until and (time := moment(text)) is not None
    ]


def _stopped(stop: Any, metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return at which step a run went on, and how many seconds had passed since its last figure before that."""
    again = moment(stop.get("time")) if isinstance(stop, dict) else None
    if again is None or not is_count(stop.get("t_env")):
        return None
    before = _times(metrics, until=stop["t_env"])
    return (stop["t_env"], max((again - max(before)).total_seconds(), 0.0)) if before else (stop["t_env"], 0.0)


def _updates(run: ArchivedRun, steps: np.ndarray) -> np.ndarray | None:
    """Return how many updates had been taken, from the episodes played by then.

    A round plays `batch_size_run` episodes and then takes `updates_per_run` updates, from the round on that fills a
    batch of `batch_size`. The number of episodes is logged from time to time, and interpolated between.
    """
    needed = ("batch_size", "batch_size_run", "updates_per_run")
    known = all(is_count(run.config.get(key)) and run.config[key] > 0 for key in needed)
    if not known or "episode" not in run.metrics or run.config.get("checkpoint_path") is not None:
        return None
    batch, width, per_round = (run.config[key] for key in needed)
    at = np.array([0.0, *run.metrics["episode"]["steps"]])
    played = np.interp(steps, at, np.array([0.0, *run.metrics["episode"]["values"]]))
    if steps[-1] > at[-1]:  # evaluated, but not logged, at the end: on at the pace of the whole
        late = steps > at[-1]
        played[late] = run.metrics["episode"]["values"][-1] * steps[late] / at[-1]
    return per_round * np.maximum(played / width - (-(-batch // width) - 1), 0.0)
