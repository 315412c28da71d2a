"""The same study with as many updates as fit into the dearest algorithm's time, for a comparison at equal minutes.

An algorithm's step takes ``o + u l`` seconds with u updates a round: o is what it takes to play and store, and l u the
learner's part. With the dearest one's time d, ``u = floor((d - o) / l)``, never fewer than it has.
Policies and dreams have no such setting: they stay as they are.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from learners import REGISTRY as LEARNERS
from study_runs.planned_run import PlannedRun
from study_runs.study_file import read_study
from utils.errors import UserError

SETTING = "updates_per_run"


def equal_updates(updates: int, training: float, learning: float, dearest: float) -> int:
    """Return the updates per round that bring a step of training to the dearest one's seconds, or near below.

    Args:
        updates: today's updates per round.
        training: seconds per environment step with them.
        learning: the learner's part of these.
        dearest: seconds per step of the dearest algorithm.
    """
    if learning <= 0:
        return updates
    return max(updates, int((dearest - (training - learning)) / (learning / updates)))


def refuse_equal(folder: Path, study: Path, runs: Sequence[PlannedRun]) -> None:
    """Raise `UserError` where such studies cannot be written, or would take the place of others."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--equal-minutes {folder}: is no folder")
    if any(run.variant is not None for run in runs):
        raise UserError("--equal-minutes is for studies without variants: each has its own updates")
    if len({run.algorithm for run in runs}) < 2:
        raise UserError("--equal-minutes compares algorithms, and the study has one")
    for path in _paths(folder, study.stem, runs).values():
        if path.exists():
            raise UserError(f"--equal-minutes {folder}: {path} is there already; remove it, or give another folder")


def _paths(folder: Path, name: str, runs: Sequence[PlannedRun]) -> dict[str, Path]:
    """Return each task's file."""
    tasks = dict.fromkeys(run.task for run in runs)
    return {task: folder / f"{name}_equal_{re.sub('[^A-Za-z0-9_-]', '-', task)}.yaml" for task in tasks}


def write_equal(
    folder: Path, study: Path, runs: Sequence[PlannedRun], speeds: Mapping[str, Any]
) -> list[tuple[Path, str]]:
    """Write one study per task, and return its path and its updates per round in words.

    Args:
        folder: where they go.
        study: the file of the study.
        runs: one of each algorithm and task.
        speeds: by the run's name, `training` and `learning`.
    """
    name, asked = read_study(study)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for (task, path), given in zip(_paths(folder, name, runs).items(), asked.tasks, strict=True):
        of_task = [run for run in runs if run.task == task]
        dearest = max(speeds[run.name].training for run in of_task)
        algorithms, updates = [], {}
        for run, algorithm in zip(of_task, asked.algorithms, strict=True):
            entry = {"config": algorithm} if isinstance(algorithm, str) else dict(algorithm)
            if LEARNERS[run.settings["learner"]].EXPERIENCE == "replay":
                speed = speeds[run.name]
                updates[run.algorithm] = equal_updates(run.settings[SETTING], speed.training, speed.learning, dearest)
                entry[SETTING] = str(updates[run.algorithm])
            algorithms.append(entry)
        tree = {
            "algorithms": algorithms, "tasks": [given], "seeds": list(asked.seeds),
            "settings": dict(asked.settings), "running": dict(asked.running),
        }  # fmt: skip
        told = f"# {study.name} with as many updates as fit into the dearest algorithm's time on this machine.\n"
        path.write_text(told + yaml.safe_dump(_unquoted({k: v for k, v in tree.items() if v}), sort_keys=False))
        written.append((path, ", ".join(f"{alg} {n}" for alg, n in updates.items())))
    return written


def _unquoted(tree: Any) -> Any:
    """Return a tree of texts as a person would write it: numbers and words without quotes."""
    if isinstance(tree, Mapping):
        return {key: _unquoted(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_unquoted(value) for value in tree]
    return yaml.safe_load(tree) if isinstance(tree, str) else tree
