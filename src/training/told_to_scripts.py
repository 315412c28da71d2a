"""Figures as scripts for PyMARL look for them in `info.json`: a list by name, and its steps by the name with `_T`.

Those of evaluations are there, and those of training episodes of the same name; `metrics.json` has all.
"""

from collections.abc import Callable, Mapping
from typing import Any

STEPS, TEST = "_T", "test_"


def as_lists(history: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what `info.json` says of figures that are logged already; `history` is the logger's."""
    told: dict[str, list[Any]] = {}
    for name, series in history.items():
        if name.startswith(TEST) or TEST + name in history:
            told |= {name: list(series["values"]), name + STEPS: list(series["steps"])}
    return told


def without_lists(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `info.json` says beside figures."""
    names = {key for key in info if key + STEPS in info}
    return {key: value for key, value in info.items() if key not in names and key.removesuffix(STEPS) not in names}


def keeper(run: Any) -> Callable[[str, float, int], None]:
    """Return a sink of the logger that adds to the `info` of sacred's run, which its heartbeat writes.

    That is another thread: a new name comes in a new mapping, so that none changes its size while it is read.
    """

    def keep(name: str, value: float, t: int) -> None:
        if name + STEPS in run.info:
            run.info[name + STEPS].append(t)
            run.info[name].append(value)
        elif name.startswith(TEST) or TEST + name + STEPS in run.info:
            run.info = {**run.info, name: [value], name + STEPS: [t]}

    return keep
