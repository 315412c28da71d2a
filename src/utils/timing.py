"""Where the time of a run goes."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class PhaseClock:
    """Adds up seconds by phase: `lap(name)` books the time since the last lap on that phase."""

    def __init__(self) -> None:
        self._only: str | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what was booked and count from now."""
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = perf_counter()

    def lap(self, phase: str) -> None:
        """Book the time since the last lap (or since the start) on `phase`."""
        now = perf_counter()
        self.seconds[self._only or phase] += now - self._last
        self._last = now

    @contextmanager
    def booking_all_on(self, phase: str) -> Iterator[None]:
        """Book every lap within on one phase, whatever it says itself."""
        self.lap("other")
        self._only = phase
        yield
        self.lap(phase)
        self._only = None

    def shares(self) -> dict[str, float]:
        """Return each phase's share of all the time booked, in [0, 1]."""
        total = sum(self.seconds.values()) or 1.0
        return {phase: seconds / total for phase, seconds in self.seconds.items()}
