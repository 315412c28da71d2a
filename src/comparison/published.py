"""Figures from the methods' papers, as data: `published.yaml` says where each comes from.

Two kinds: of one task, which stand beside our figures of it, and plain means over tasks (MMSA's Table 1), which stand
beside ours over the same ones. They are shown, and enter no statistic of ours.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from comparison.pooling import Group

FILE = Path(__file__).with_name("published.yaml")


class Published(NamedTuple):
    """One figure of a paper, see `published.yaml`; `value` in our unit, `steps` of training."""

    algorithm: str
    env: str
    metric: str
    value: float
    steps: int
    average_of: int | str | None
    source: str
    tasks: tuple[str, ...]
    paper: str = "MMSA"
    seeds: int = 5
    deviation: float | None = None
    beside: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Say whose figure of what it is, in a few words."""
        return f"{'paper' if self.paper == 'MMSA' else f'paper on {self.paper}'}: {self.algorithm}"

    def source_beside(self, group: Group) -> str:
        """Say where the figure stands, and of which environment it is where the group is of another."""
        ours = group.conditions["environment"]
        return self.source if ours == self.env else f"{self.source}; of {self.env}, not {ours}"

    def speaks_of(self, group: Group) -> bool:
        """Say whether a group is of this figure's task, or of one of those that it is a mean over."""
        same = group.conditions["environment"] in (self.env, *self.beside) and self.metric == group.metric
        return same and any(fnmatchcase(group.task, pattern) for pattern in self.tasks)


@cache
def all_published() -> tuple[Published, ...]:
    """Return every figure."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    lists = ("tasks", "beside")
    return tuple(Published(**{k: tuple(v) if k in lists else v for k, v in entry.items()}) for entry in entries)


def published_beside(group: Group) -> list[Published]:
    """Return what papers say of a group's task alone, in the figure that the group shows."""
    return [one for one in all_published() if one.average_of is None and one.speaks_of(group)]


def published_averages(groups: Iterable[Group]) -> list[tuple[Published, list[Group]]]:
    """Return papers' means over tasks that have some of ours among them, each with those."""
    found = [
        (one, [group for group in groups if one.speaks_of(group)])
        for one in all_published() if one.average_of is not None
    ]  # fmt: skip
    return [(one, ours) for one, ours in found if ours]
