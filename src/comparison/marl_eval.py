"""Runs in the form that marl-eval reads (Gorsane et al., 2022): environment, task, algorithm, run, evaluation."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comparison.pooling import Member, Pool
from utils.errors import UserError

EPISODES, ABSOLUTE = "eval_episodes.csv", "absolute_episodes.csv"
COLUMNS = {"return": "return", "won": "win_rate"}  # a column of the archive's lists -> marl-eval's metric


def as_marl_eval(pool: Pool) -> dict[str, Any]:
    """Return the pool's runs with every evaluation episode; `UserError` where an archive lacks its lists of episodes.

    An algorithm's line is one algorithm there, a group one task, a seed one run.
    """
    tree: dict[str, Any] = {}
    for group in pool.groups:
        ours = [line for line in group.lines if not line.framework]  # others list no episodes
        if not ours:
            continue
        algorithms = tree.setdefault(group.conditions["environment"], {}).setdefault(group.title, {})
        for line in ours:
            # marl-eval refuses commas in names of algorithms.
            name = line.label.replace(",", ";")
            algorithms[name] = {f"seed_{member.run.config['seed']}": _run(member) for member in line.members}
    return tree


def without_absolute(pool: Pool) -> list[Path]:
    """Return the runs that have no absolute metric; marl-eval wants one of every run."""
    lines = [line for group in pool.groups for line in group.lines if not line.framework]
    members = [member for line in lines for member in line.members]
    return [member.run.folder for member in members if not (member.run.folder / ABSOLUTE).exists()]


def _run(member: Member) -> dict[str, Any]:
    folder = member.run.folder
    evaluations = _episodes(folder / EPISODES)
    if list(evaluations) != member.evaluations.steps.tolist():
        raise UserError(f"{folder / EPISODES} holds other evaluations than metrics.json; give folders without this run")
    steps: dict[str, Any] = {
        f"step_{place}": {"step_count": t_env, **metrics} for place, (t_env, metrics) in enumerate(evaluations.items())
    }
    if (folder / ABSOLUTE).exists():
        absolute = list(_episodes(folder / ABSOLUTE).values())
        if len(absolute) != 1:
            raise UserError(f"{folder / ABSOLUTE} is damaged: it speaks of {len(absolute)} checkpoints")
        steps["absolute_metrics"] = absolute[0]
    return steps


def _episodes(path: Path) -> Mapping[int, dict[str, list[float]]]:
    """Return the values of every metric by environment steps, one per episode."""
    found: dict[int, dict[str, list[float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                metrics = found.setdefault(int(row["t_env"]), {})
                for column, metric in COLUMNS.items():
                    if row[column] != "":
                        metrics.setdefault(metric, []).append(float(row[column]))
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as why:
        raise UserError(f"{path} cannot be read ({why!r}); give folders without this run") from why
    return found
