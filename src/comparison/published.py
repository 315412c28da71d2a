"""Figures from the paper, as data: `published.yaml` says where each comes from."""

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

    @property
    def scope(self) -> str:
        """What the figure speaks of."""
        return "this task" if self.average_of is None else f"mean over {self.average_of} tasks of the paper"


@cache
def all_published() -> tuple[Published, ...]:
    """Return every figure."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Published(**{**entry, "tasks": tuple(entry["tasks"])}) for entry in entries)


def published_beside(group: Group) -> list[Published]:
    """Return what the paper says of a group's task, in the figure that the group shows."""
    return [
        figure for figure in all_published()
        if (figure.env, figure.metric) == (group.conditions["environment"], group.metric)
        and _names(figure.tasks, group.task)
    ]  # fmt: skip


def _names(patterns: Iterable[str], task: str) -> bool:
    return any(fnmatchcase(task, pattern) for pattern in patterns)
