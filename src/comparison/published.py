"""Figures from the paper, as data: `published.yaml` says where each comes from.

Two kinds: of one task, which stand beside our figures of it, and plain means over tasks (Table 1), which stand beside
ours over the same ones.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from comparison.pooling import Group

SEEDS = 5  # of everything in the paper, by its section 5
FILE = Path(__file__).with_name("published.yaml")


class Published(NamedTuple):
    """One figure of the paper, see `published.yaml`; `value` in our unit, `steps` of training."""

    algorithm: str
    env: str
    metric: str
    value: float
    steps: int
    average_of: int | str | None
    source: str
    tasks: tuple[str, ...]

    def speaks_of(self, group: Group) -> bool:
        """Say whether a group is of this figure's task, or of one of those that it is a mean over."""
        same = (self.env, self.metric) == (group.conditions["environment"], group.metric)
        return same and any(fnmatchcase(group.task, pattern) for pattern in self.tasks)


@cache
def all_published() -> tuple[Published, ...]:
    """Return every figure."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Published(**{**entry, "tasks": tuple(entry["tasks"])}) for entry in entries)


def published_beside(group: Group) -> list[Published]:
    """Return what the paper says of a group's task alone, in the figure that the group shows."""
    return [one for one in all_published() if one.average_of is None and one.speaks_of(group)]


def published_averages(groups: Iterable[Group]) -> list[tuple[Published, list[Group]]]:
    """Return the paper's means over tasks that have some of ours among them, each with those."""
    found = [
        (one, [group for group in groups if one.speaks_of(group)])
        for one in all_published() if one.average_of is not None
    ]  # fmt: skip
    return [(one, ours) for one, ours in found if ours]
