"""What the lines of a group score at equal environment steps, equal updates and equal minutes.

Each axis ends where the first run does: up to there all have been, and there they are compared. Lines of other
frameworks, of which no verdict is given, take no part and shorten no axis. Minutes are those of
one machine alone; every machine with runs of two lines has a comparison of its own. Letters: s runs of a line.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from comparison.evaluations import AXES, smoothed
from comparison.intervals import Difference, difference, summary
from comparison.pooling import Group, Line
from comparison.series import Series, area_under, until
from comparison.verdicts import judged

AT_END, MEAN = "value there", "mean until there"


class Equal(NamedTuple):
    """One axis of a group: `end` is where the lines are compared, and `scores` what each has there, ``(s,)`` each.

    `machine`: whose minutes they are, empty for the other axes.
    """

    axis: str
    machine: str
    end: float
    scores: Mapping[str, Mapping[str, np.ndarray]]


class Pair(NamedTuple):
    """What may be said of two lines at the end of an axis, in words for `AT_END` and `MEAN`.

    `more`: what the first has more of each.
    """

    first: str
    second: str
    says: Mapping[str, str]
    more: Mapping[str, Difference]


def machines_of(group: Group) -> list[str]:
    """Return the machines of a group's runs: first the one with the most lines on it, then the most runs."""
    places = {(line.label, m.run.folder): m.run.machine for line in group.lines for m in line.members}
    runs = Counter(machine for machine in places.values() if machine)
    lines = Counter(machine for _, machine in {(label, machine) for (label, _), machine in places.items()})
    return sorted(runs, key=lambda machine: (-lines[machine], -runs[machine], machine))


def series_of(line: Line, axis: str, machine: str, smooth: int = 1) -> list[Series] | None:
    """Return a line's runs against an axis, over minutes those of a machine; None where one does not tell."""
    members = [member for member in line.members if axis != "minutes" or member.run.machine == machine]
    found = [smoothed(member.evaluations, smooth).against(axis) for member in members]
    told = [series for series in found if series is not None]
    return told if told and len(told) == len(found) else None


def equals(group: Group) -> Iterator[Equal]:
    """Yield a comparison for each axis on which two lines or more can be compared."""
    for axis in AXES:
        for machine in machines_of(group) if axis == "minutes" else [""]:
            found = {line.label: series_of(line, axis, machine) for line in group.lines
                     if not line.framework}  # fmt: skip
            told = {label: series for label, series in found.items() if series is not None}
            if len(told) > 1:
                end = min(one.steps[-1] for series in told.values() for one in series)
                yield Equal(axis, machine, float(end), {label: _scores(series, end) for label, series in told.items()})


def _scores(series: Sequence[Series], end: float) -> dict[str, np.ndarray]:
    cut = [until(one, end) for one in series]
    return {
        AT_END: np.array([one.values[-1] for one in cut]),
        MEAN: np.array([area_under(one.steps, one.values) for one in cut]),
    }


def pairs(group: Group, equal: Equal) -> Iterator[Pair]:
    """Yield what may be said of every two lines, by the 95% intervals of their means."""
    lines = {line.label: line for line in group.lines}
    for first, second in combinations(equal.scores, 2):
        says = {name: _said(lines[first], lines[second], name, equal, bool(group.forced)) for name in (AT_END, MEAN)}
        one, other = equal.scores[first], equal.scores[second]
        yield Pair(first, second, says, {name: difference(one[name], other[name]) for name in says})


def _said(first: Line, second: Line, name: str, equal: Equal, forced: bool) -> str:
    one, other = (summary(equal.scores[line.label][name], "mean_interval") for line in (first, second))
    higher, lower, line = (one, other, first) if one.centre >= other.centre else (other, one, second)
    said = judged(higher, lower, forced, len(line.diverged))
    return f"{line.label} is {said}" if said.startswith("better") else said
