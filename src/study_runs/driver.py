"""Does the runs of a study: begins, resumes and retries them until all are finished, given up, or it is asked to stop.

It keeps nothing to itself: where the runs stand is read from their archives, so a driver that was killed is started
again and goes on. A run that a process of an earlier driver still works at is waited for.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from study_runs.archives import Archives, Standing, State, lock_path, log_path
from study_runs.planned_run import PlannedRun
from study_runs.process import TAKEN, Work
from utils.exits import MISTAKE, PASSING, UNREADABLE
from utils.stopping import StopRequest, listening

TICK = 0.2  # seconds between two looks at the processes
AT_ONCE = 10.0  # seconds that processes get to end when asked for the second time
LONGEST_PAUSE = 1800.0  # seconds before a run is taken up again after trouble that may pass


class Task(Protocol):
    """A run that is being worked at."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs or waits for its turn."""

    def interrupt(self) -> None:
        """Ask it to save and end; the second time it ends at once."""

    def kill(self) -> None:
        """End it now."""


class Place(Protocol):
    """Where runs are worked at. It takes `slots` at a time, of which it does about `at_once`, and queues the rest."""

    slots: int
    at_once: int

    def start(self, work: Work) -> Task:
        """Begin to work at a run."""

    def close(self) -> None:
        """Leave the place."""


class View(Protocol):
    """Who is told what happens."""

    def say(self, line: str) -> None:
        """Take note of an event."""

    def show(self, standings: Mapping[str, Standing], gave_up: Mapping[str, str], last: bool) -> None:
        """Show where the runs stand, now and then and for the last time."""


class Driver:
    """Does `runs` at a place. `gave_up` names the runs that failed too often, and why."""

    def __init__(
        self, runs: Sequence[PlannedRun], archives: Archives, place: Place, view: View, running: Mapping[str, Any]
    ) -> None:
        self.runs, self.archives, self.place, self.view, self.running = runs, archives, place, view, running
        self.gave_up: dict[str, str] = {}
        self._tasks: dict[str, Task] = {}
        self._resumed: set[str] = set()  # of the tasks: those that go on in a folder
        self._failures: dict[str, int] = {}
        self._spoilt: set[Path] = set()  # folders that could not be resumed
        self._troubles: dict[str, tuple[int, int]] = {}  # that may pass: how often in a row, and at which step
        self._not_before: dict[str, float] = {}
        self._looked = float("-inf")

    def work(self) -> None:
        """Do all there is to do; raise `Stopped` when asked to stop, once the runs have saved and ended."""
        with listening() as stop:
            try:
                self._work(stop)
                self._look(last=True)
                stop.check()
            except BaseException:  # the second signal, or a fault of ours
                self._end_at_once()
                raise

    def _work(self, stop: StopRequest) -> None:
        states = {run.name: self.archives.standing(run).state for run in self.runs}
        waiting = [run for run in self.runs if not states[run.name].is_done]
        waiting.sort(key=lambda run: states[run.name] is not State.RUNNING)  # what runs already takes its place first
        passed_on = False
        while self._tasks or (waiting and stop.signum is None):
            while stop.signum is None and len(self._tasks) < self.place.slots and (due := self._due(waiting)):
                waiting.remove(due)
                self._start(due)
            if stop.signum is not None and not passed_on:
                self.view.say(f"stopping: {len(self._tasks)} runs save and end")
                for task in self._tasks.values():
                    task.interrupt()
                passed_on = True
            time.sleep(TICK)
            for run in [run for run in self.runs if run.name in self._tasks]:
                code = self._tasks[run.name].poll()
                if code is not None and self._again(run, code, stop):
                    waiting.insert(0, run)
            self._look()

    def _due(self, waiting: Sequence[PlannedRun]) -> PlannedRun | None:
        """Return the first run that waits for a place alone, and not for trouble to pass."""
        now = time.monotonic()
        return next((run for run in waiting if self._not_before.get(run.name, 0.0) <= now), None)

    def _look(self, last: bool = False) -> None:
        if last or time.monotonic() - self._looked > self.running["look_interval"]:
            standings = {run.name: self.archives.standing(run) for run in self.runs}
            self.view.show(standings, self.gave_up, last)
            self._looked = time.monotonic()

    def _start(self, run: PlannedRun) -> None:
        """Begin a run, or go on in its folder."""
        at = self.archives.standing(run)
        threads = self.running["cpus_per_run"]
        if at.folder is None or at.folder in self._spoilt:
            words = [*run.words(), f"threads={threads}"]
            said = "begins"
        else:
            words = [f"resume={at.folder}", "with", f"t_max={run.t_max}", f"threads={threads}"]
            words += ["other_commit=true"] if self.running["other_commit"] else []
            self._resumed.add(run.name)
            said = f"goes on in {at.folder}"
        if at.state is State.RUNNING:
            said = "another process works at it; waiting for that"
        self.view.say(f"{run.name}: {said}")
        work = Work(words, Path.cwd(), threads, lock_path(run), log_path(run), at.folder)
        self._tasks[run.name] = self.place.start(work)

    def _again(self, run: PlannedRun, code: int, stop: StopRequest) -> bool:
        """Take note of how a process ended; say whether the run is to be taken up again."""
        del self._tasks[run.name]
        resumed = run.name in self._resumed
        self._resumed.discard(run.name)
        at = self.archives.standing(run)
        if at.state is State.FINISHED:
            test = "" if at.test_return is None else f", test return {at.test_return:.3f}"
            self.view.say(f"{run.name}: finished{test}")
            return False
        if at.state is State.DIVERGED:
            self.view.say(f"{run.name}: diverged, which is a result; {_last_line(log_path(run))}")
            return False
        if stop.signum is not None:
            self.view.say(f"{run.name}: stopped")
            return False
        if code == TAKEN or (code == PASSING and at.state is State.RUNNING):  # another process was quicker
            return True
        return self._may_pass(run, at) if code == PASSING else self._failed(run, at, code, resumed)

    def _may_pass(self, run: PlannedRun, at: Standing) -> bool:
        """Let a run wait, longer each time in a row that it does not come further; give it up after too many."""
        times, step = self._troubles.get(run.name, (0, -1))
        times = times + 1 if at.t_env <= step else 1
        self._troubles[run.name] = (times, max(step, at.t_env))
        why = _last_line(log_path(run))
        if times > self.running["max_waits"]:
            self._give_up(run, f"trouble that did not pass: {why}")
            return False
        pause = min(self.running["pause"] * 2 ** (times - 1), LONGEST_PAUSE)
        self._not_before[run.name] = time.monotonic() + pause
        told = f"{times} of {self.running['max_waits']}"
        self.view.say(f"{run.name}: trouble that may pass ({told}), goes on in {pause:g} s: {why}")
        return True

    def _failed(self, run: PlannedRun, at: Standing, code: int, resumed: bool) -> bool:
        failures = self._failures[run.name] = self._failures.get(run.name, 0) + 1
        why = f"exit code {code}: {_last_line(log_path(run))}"
        if resumed and code == UNREADABLE and at.folder is not None:
            self._spoilt.add(at.folder)
        if failures > self.running["max_retries"] or code == MISTAKE:
            self._give_up(run, why)
            return False
        self.view.say(f"{run.name}: failed ({failures} of {self.running['max_retries']} retries), {why}")
        return True

    def _give_up(self, run: PlannedRun, why: str) -> None:
        self.gave_up[run.name] = why
        self.view.say(f"{run.name}: given up, {why}")

    def _end_at_once(self) -> None:
        """Interrupt what still runs once more, and end what does not listen."""
        for task in self._tasks.values():
            task.interrupt()
        deadline = time.monotonic() + AT_ONCE
        while any(task.poll() is None for task in self._tasks.values()) and time.monotonic() < deadline:
            time.sleep(TICK)
        for task in self._tasks.values():
            if task.poll() is None:
                task.kill()


def _last_line(log: Path) -> str:
    """Return the last thing that a run's processes printed."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{lines[-1]} (see {log})" if lines else f"nothing in {log}"
