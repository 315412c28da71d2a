"""What may be said of two lines: more than «no clear difference» only where seeds and intervals carry it."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from comparison.intervals import Difference, Summary, difference, summary
from comparison.pooling import Group, Line
from comparison.scores import scores

ENOUGH_SEEDS = 5
FEW = f"fewer than {ENOUGH_SEEDS} carry none"
FOREIGN = "no verdict: runs of another framework, of which too little is known"


class Verdict(NamedTuple):
    """A sentence's worth on two lines of a group: `says` puts `first` beside `second`, `more` is what it has more."""

    first: str
    second: str
    says: str
    more: Difference


def basis(group: Group) -> str:
    """Return the score that lines are compared by: the absolute one where every run has it, else the final one."""
    ours = [line for line in group.lines if not line.framework]
    have = bool(ours) and all(np.isfinite(scores(line, group.metric)["absolute"]).all() for line in ours)
    return "absolute" if have else "final"


def verdicts(group: Group) -> list[Verdict]:
    """Compare every two lines of a group by the 95% intervals of their means."""
    name = basis(group)
    return [_verdict(a, b, group, name) for a, b in combinations(group.lines, 2)]


def _verdict(a: Line, b: Line, group: Group, name: str) -> Verdict:
    higher, lower = scores(a, group.metric)[name], scores(b, group.metric)[name]
    if higher.mean() < lower.mean():
        a, b, higher, lower = b, a, lower, higher
    more = difference(higher, lower)
    if a.framework or b.framework:
        return Verdict(a.label, b.label, FOREIGN, more)
    first, second = (summary(found, "mean_interval") for found in (higher, lower))
    return Verdict(a.label, b.label, judged(first, second, bool(group.forced), len(a.diverged)), more)


def judged(higher: Summary, lower: Summary, forced: bool, diverged: int) -> str:
    """Return what may be said of two means, of which `higher` has the higher centre, and `diverged` runs besides."""
    if forced:
        return "no verdict: pooled by --force"
    if min(higher.runs, lower.runs) < ENOUGH_SEEDS:
        return f"no verdict: {higher.runs} and {lower.runs} seeds, and {FEW}"
    if not higher.low > lower.high:
        return "no clear difference: the 95% intervals overlap"
    if diverged:
        return f"no verdict: {diverged} of the higher one's {higher.runs + diverged} seeds diverged"
    return "better: five seeds or more on each side, and the 95% intervals are apart"
