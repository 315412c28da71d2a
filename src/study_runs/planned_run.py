"""The runs that a study asks for: algorithms x tasks x variants x seeds, each checked as `main.py` would check it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from envs import task_name
from settings import Setting, declared_settings, resolve, shown
from study_runs.study_file import Settings, StudyFile
from utils.errors import UserError

STUDIES = "studies"  # below local_results_path
GIVEN_ELSEWHERE = {  # a setting -> why it cannot be given
    "seed": "`seeds` lists them",
    "threads": "`running` has cpus_per_run",
    "evaluate": "they train",
}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    `updates` are the settings given by the study, as text, and `settings` all of them, resolved. The archive of the
    run appears below `results`. `name` tells it from the others, and is safe as a file's name.
    """

    algorithm: str
    env_config: str
    task: str
    variant: str | None
    seed: int
    updates: Mapping[str, str]
    settings: Mapping[str, Any]
    results: Path

    @property
    def name(self) -> str:
        """Task, algorithm, variant and seed."""
        return "_".join(filter(None, (self.task, self.algorithm, self.variant, f"seed{self.seed}")))

    @property
    def t_max(self) -> int:
        """The run's environment steps."""
        return self.settings["t_max"]

    def words(self) -> list[str]:
        """Return what `main.py` is given to begin the run."""
        configs = [f"--config={self.algorithm}", f"--env-config={self.env_config}"]
        return [*configs, "with", *(f"{key}={text}" for key, text in self.updates.items())]


def planned_runs(name: str, study: StudyFile, label: str, config_dir: Path) -> list[PlannedRun]:
    """Return every run that a study asks for, seed by seed, so that a stopped study has something of everything.

    Raises `UserError`, one line, for an unknown algorithm, task or setting, and for what is there twice.
    """
    found: dict[str, PlannedRun] = {}
    kinds = _kinds(name, study, label, config_dir)
    for seed, kind in product(study.seeds, kinds):
        updates, settings = {**kind.updates, "seed": str(seed)}, {**kind.settings, "seed": seed}
        run = replace(kind, seed=seed, updates=updates, settings=settings)
        if run.name in found:
            raise UserError(
                f"{label}: {run.name} is asked for twice; runs of one algorithm on one task that differ in settings "
                "belong under `variants`"
            )
        found[run.name] = run
    return list(found.values())


def _kinds(name: str, study: StudyFile, label: str, config_dir: Path) -> list[PlannedRun]:
    """Return the runs of the first seed: those of the others differ in nothing else, and resolving takes time."""
    tasks = [_split(task, "env_config", "tasks", label) for task in study.tasks]
    named = [({"config": a} if isinstance(a, str) else a) for a in study.algorithms]
    algorithms = [_split(algorithm, "config", "algorithms", label) for algorithm in named]
    kinds = []
    for (env, of_task), variant, (alg, of_alg) in product(tasks, _variants(study), algorithms):
        of_variant = {} if variant is None else study.variants[variant]
        given = study.settings | of_task | of_alg | of_variant
        _refuse_given(given, label)
        try:
            if variant not in variants_for(alg, env, study, [name for name, _ in algorithms], config_dir):
                continue
            for one in (study.settings, of_task, of_alg):
                _refuse_overruled(one, _declared(alg, env, config_dir))
            kinds.append(_planned(name, alg, env, variant, given | {"seed": str(study.seeds[0])}, config_dir))
        except UserError as why:
            raise UserError(f"{label}: {why}") from why
    return kinds


def _variants(study: StudyFile) -> list[str | None]:
    """Return the variants in their order, and last None: no variant."""
    return [*study.variants, None]


def variants_for(alg: str, env: str, study: StudyFile, algorithms: Sequence[str], config_dir: Path) -> list[str | None]:
    """Return the variants that an algorithm runs in: those whose settings it has; without any, once as it is.

    A setting that no algorithm of the study has is a mistake, and left to be told as one.
    """

    def has(algorithm: str, variant: str) -> bool:
        return study.variants[variant].keys() <= _declared(algorithm, env, config_dir).keys()

    fitting = [v for v in study.variants if has(alg, v) or not any(has(other, v) for other in algorithms)]
    return list(fitting) or [None]


@cache
def _declared(algorithm: str, env_config: str, config_dir: Path) -> Mapping[str, Setting]:
    return declared_settings(algorithm, env_config, config_dir)


def _split(item: Settings, word: str, field: str, label: str) -> tuple[str, Settings]:
    """Return the config that an item names, and its settings."""
    if word not in item:
        raise UserError(f"{label}: {field}: each needs {word}: NAME, and {shown(str(item))} has none")
    return item[word], {key: text for key, text in item.items() if key != word}


def _refuse_given(given: Settings, label: str) -> None:
    for key, where in GIVEN_ELSEWHERE.items():
        if key in given:
            raise UserError(f"{label}: {key} is no setting of a study's runs: {where}")


def _refuse_overruled(given: Settings, declared: Mapping[str, Setting]) -> None:
    """Raise `UserError` for a value that its declaration refuses, also where a stronger one takes its place."""
    for key, text in given.items():
        if key in declared:
            declared[key].parse(text)


def _planned(name: str, alg: str, env: str, variant: str | None, updates: Settings, config_dir: Path) -> PlannedRun:
    settings = resolve(alg, env, updates, config_dir)
    results = Path(settings["local_results_path"]).absolute() / STUDIES / name / (variant or "")
    task = task_name(settings["env"], settings["env_args"])
    placed = {"local_results_path": str(results)}
    return PlannedRun(alg, env, task, variant, settings["seed"], updates | placed, settings | placed, results)
