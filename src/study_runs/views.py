"""Telling how far a study is: a live table on a terminal, a line now and then elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study_runs.archives import Standing, State
from study_runs.planned_run import PlannedRun

NO_GOOD = dict.fromkeys((State.FAILED, State.DIVERGED, State.DIED), "red")
COLOURS = {State.RUNNING: "cyan", State.FINISHED: "green"} | NO_GOOD
WIDTH = 140  # columns, where no terminal says how many there are
Standings = Mapping[str, Standing]


def study_console() -> Console:
    """Return where tables and lines go: stdout."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False, soft_wrap=True)


class TableView:
    """A table that stays on the screen; events scroll by above it."""

    def __init__(self, runs: Sequence[PlannedRun], at_once: int, live: Live) -> None:
        self._runs, self._at_once, self._live = runs, at_once, live

    def say(self, line: str) -> None:
        """Print an event above the table."""
        self._live.console.print(Text(line))

    def show(self, standings: Standings, gave_up: Mapping[str, str], last: bool) -> None:
        """Bring the table up to date."""
        rows = max(5, self._live.console.height - 6)
        self._live.update(table(self._runs, standings, gave_up, self._at_once, rows), refresh=True)


class LineView:
    """Events as they come, and every `line_interval` seconds where all runs stand."""

    def __init__(self, runs: Sequence[PlannedRun], at_once: int, console: Console, line_interval: float) -> None:
        self._runs, self._at_once, self._console, self._interval = runs, at_once, console, line_interval
        self._last = time.monotonic()

    def say(self, line: str) -> None:
        """Print an event."""
        self._console.print(Text(line))

    def show(self, standings: Standings, gave_up: Mapping[str, str], last: bool) -> None:
        """Print a line if it is time for one."""
        if last or time.monotonic() - self._last >= self._interval:
            self._console.print(Text(summary(self._runs, standings, gave_up, self._at_once)))
            self._last = time.monotonic()


@contextmanager
def view_of(runs: Sequence[PlannedRun], at_once: int, line_interval: float) -> Iterator[TableView | LineView]:
    """Give the view that fits stdout."""
    console = study_console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield TableView(runs, at_once, live)
    else:
        yield LineView(runs, at_once, console, line_interval)


def table(
    runs: Sequence[PlannedRun], standings: Standings, gave_up: Mapping[str, str], at_once: int, rows: int | None = None
) -> Table:
    """Return one row per run; of more than `rows`, those that run or failed come first, and the rest is cut."""
    drawn = Table(caption=summary(runs, standings, gave_up, at_once), caption_justify="left")
    variants = any(run.variant for run in runs)
    words = ["task", "algorithm", *(["variant"] if variants else []), "seed", "state"]
    for word in words:
        drawn.add_column(word, no_wrap=True)
    for word in ("steps", "done", "steps/s", "test return", "time left"):
        drawn.add_column(word, justify="right", no_wrap=True)
    shown = list(runs)
    if rows is not None and len(shown) > rows:
        moving = {State.RUNNING: 0, State.FAILED: 1, State.DIED: 1, State.STOPPED: 1}
        shown = sorted(shown, key=lambda run: moving.get(standings[run.name].state, 2))[:rows]
    for run in shown:
        at = standings[run.name]
        state = "given up" if run.name in gave_up else at.state.value
        drawn.add_row(
            Text(run.task), run.algorithm, *([run.variant or ""] if variants else []), str(run.seed),
            Text(state, style="red" if run.name in gave_up else COLOURS.get(at.state, "")),
            f"{at.t_env:,}", f"{min(1.0, at.t_env / run.t_max):.0%}",
            "" if at.steps_per_second is None else f"{at.steps_per_second:.0f}",
            "" if at.test_return is None else f"{at.test_return:.3f}",
            described(_left(run, at)) if at.state is State.RUNNING else "",
        )  # fmt: skip
    return drawn


def summary(runs: Sequence[PlannedRun], standings: Standings, gave_up: Mapping[str, str], at_once: int) -> str:
    """Return how many runs stand where, and about how long all of them will take yet."""
    counts = Counter("given up" if run.name in gave_up else standings[run.name].state.value for run in runs)
    parts = [f"{count} {word}" for word, count in counts.most_common()]
    return f"{len(runs)} runs: {', '.join(parts)}{_all_left(runs, standings, gave_up, at_once)}"


def _all_left(runs: Sequence[PlannedRun], standings: Standings, gave_up: Mapping[str, str], at_once: int) -> str:
    """Return the time for what is left, by the speed of each algorithm so far; nothing while that is unknown."""
    todo = [run for run in runs if not standings[run.name].state.is_done and run.name not in gave_up]
    speeds: dict[str, list[float]] = {}
    for run in runs:
        speed = standings[run.name].steps_per_second
        if speed is not None:
            speeds.setdefault(run.algorithm, []).append(speed)
    if not todo or not speeds:
        return ""
    every = fmean(speed for known in speeds.values() for speed in known)
    seconds = sum(
        max(0, run.t_max - standings[run.name].t_env) / fmean(speeds.get(run.algorithm, [every])) for run in todo
    )
    return f"; about {described(seconds / min(at_once, len(todo)))} left"


def _left(run: PlannedRun, at: Standing) -> float | None:
    return max(0, run.t_max - at.t_env) / at.steps_per_second if at.steps_per_second else None


def described(seconds: float | None) -> str:
    """Return `3 d 4 h`, `2 h 05 min` or `7 min`."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"
