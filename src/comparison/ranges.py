"""How returns of different tasks become comparable: each is scaled by a range that the report states."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from comparison.pooling import Group

UNIT_TASKS = ("lbf",)  # environments whose returns lie in [0, 1]
T = TypeVar("T", float, np.ndarray)


class Range(NamedTuple):
    """What counts as 0 and as 1, and where that comes from."""

    low: float
    high: float
    source: str

    def normalised(self, values: T) -> T:
        """Return values as shares of the range; all 0 where the range has no width."""
        return (values - self.low) / (self.high - self.low) if self.high > self.low else values * 0


def range_of(group: Group, given: Mapping[str, tuple[float, float]]) -> Range:
    """Return the range of a group: as given for its task, [0, 1] where all returns lie there, else what was seen."""
    if group.task in given:
        return Range(*given[group.task], "given by --range")
    if group.metric.endswith("battle_won_mean"):
        return Range(0.0, 1.0, "a win rate")
    if group.conditions["environment"] in UNIT_TASKS and group.metric == "test_return_mean":
        return Range(0.0, 1.0, "returns of this environment lie in [0, 1]")
    values = np.concatenate([member.evaluations.values for line in group.lines for member in line.members])
    return Range(
        float(values.min()), float(values.max()), "the lowest and the highest evaluation of the runs shown here"
    )
