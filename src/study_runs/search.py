"""A search for settings: Optuna proposes (TPE), our runs answer, and what will not be best is stopped at a rung.

A trial trains every seed to the first rung's steps, is compared with the others that came so far, and goes on from its
checkpoints, exactly (asynchronous successive halving: Li et al., 2020).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comparison.archives import ArchivedRun, read_run
from comparison.evaluations import Evaluations, evaluations_of
from comparison.series import area_under, until
from study_runs.planned_run import PlannedRun
from study_runs.search_file import Axis, Search, SearchFile
from study_runs.search_runs import folder_of, run_in, runs_of, words_of
from utils.errors import RunFailedError, UserError
from utils.files import write_whole
from utils.naming import to_install

try:
    import optuna
    from optuna.trial import TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ModuleNotFoundError as missing:
    raise UserError(f"search needs {missing.name}: run `{to_install('requirements-search.txt')}`") from missing

STORAGE = "search.db"
# Does the runs, all at once or a few, and returns those that were given up, by name, and why.
Runner = Callable[[Sequence[PlannedRun]], Mapping[str, str]]


def propose(trial: Any, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """Return a trial's settings, drawn from the space."""
    drawn = {}
    for key, axis in axes.items():
        if axis.choices:
            drawn[key] = trial.suggest_categorical(key, axis.choices)
        elif axis.setting.kind == "int":
            drawn[key] = trial.suggest_int(key, axis.low, axis.high, log=axis.log)
        else:
            drawn[key] = trial.suggest_float(key, axis.low, axis.high, log=axis.log)
    return drawn


def opened(search: Search, results: Path, storage: str | None) -> Any:
    """Return Optuna's study, begun or gone on with."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=search.name,
        storage=_storage(storage or f"sqlite:///{results / STORAGE}"),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=search.file.reduction),
    )
    if study.user_attrs:
        _refuse_other(study, search, results)
    else:
        study.set_user_attr("search", _told(search))
        for settings in search.first:
            study.enqueue_trial(settings)
    return study


def there(search: Search, results: Path, storage: str | None) -> Any:
    """Return Optuna's study of a search that was begun, to be read; it may be worked at meanwhile."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage is None and not (results / STORAGE).is_file():
        raise UserError(f"{results}: no search was begun here")
    try:
        study = optuna.load_study(study_name=search.name, storage=_storage(storage or f"sqlite:///{results / STORAGE}"))
    except KeyError as missing:
        raise UserError(f"no search {search.name} was begun in the storage that --storage names") from missing
    _refuse_other(study, search, results)
    return study


def _refuse_other(study: Any, search: Search, results: Path) -> None:
    if study.user_attrs.get("search") != _told(search):
        raise UserError(f"{results}: a search of this name was begun with another file; give the file another name")


def _storage(url: str) -> Any:
    try:
        return optuna.storages.get_storage(url)
    except (ImportError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as why:
        told = str(why).partition("\n")[0]  # not the URL, which may have a password
        raise UserError(f"the search's storage cannot be opened: {told}; --storage sqlite:///FILE is one") from why


def _told(search: Search) -> dict[str, Any]:
    """Return what makes a search this one, as its record keeps it."""
    space = {key: [axis.choices, axis.low, axis.high, axis.log] for key, axis in search.axes.items()}
    f = search.file
    asked = {"config": f.config, "env_config": f.env_config, "settings": f.settings, "seeds": f.seeds,
             "rungs": search.rungs, "metric": f.metric, "last": f.last, "aim": f.aim, "minutes": f.minutes,
             "space": space} | ({"first": f.first} if f.first else {})  # fmt: skip
    return json.loads(json.dumps({"file": asked}))


def ask(study: Any, search: Search) -> Any:
    """Return the next trial to be done. What it draws hangs on the trials before it that were not cut off."""

    def sampler(before: Sequence[Any]) -> Any:
        drawn = sum(trial.state is not TrialState.FAIL for trial in before)
        return optuna.samplers.TPESampler(seed=search.file.seeds[0] + drawn)

    study.sampler = sampler(study.trials)
    trial = study.ask()
    study.sampler = sampler(study.trials[: trial.number])  # another machine may have asked at the same moment
    return trial


def take_up_cut_off(study: Any) -> None:
    """Have trials that nobody works at any more done again, first of all. One process at a time."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        give_back(study, trial.number, trial.params)


def give_back(study: Any, number: int, params: Mapping[str, Any]) -> None:
    """Have a trial that was cut off done again: its runs are there, and go on."""
    study.tell(number, state=TrialState.FAIL)
    study.enqueue_trial(dict(params))


def run_trial(search: Search, trial: Any, results: Path, runner: Runner) -> float:
    """Train a trial rung by rung and return what it reached at the last; raise Optuna's `TrialPruned` before that.

    It does where others are better at a rung, and where a seed diverges.
    """
    params = propose(trial, search.axes)
    folder = folder_of(results, params)
    value = float("nan")
    for rung, t_max in enumerate(search.rungs, start=1):
        if gave_up := runner(runs_of(search, params, folder, t_max)):
            name, why = next(iter(gave_up.items()))
            raise RunFailedError(f"trial {trial.number} ({folder}): {name}: {why}")
        value = value_of(search, folder, t_max)
        trial.report(value, search.file.reduction ** (rung - 1))  # what the pruner takes for a rung's steps
        if rung < len(search.rungs) and trial.should_prune():
            raise optuna.TrialPruned(f"{value:.3f} after {t_max} steps")
    return value


def value_of(search: Search, folder: Path, t_max: int) -> float:
    """Return the mean over seeds of what the search aims at, by what the runs had logged by a rung's end.

    Raises Optuna's `TrialPruned` where a seed has diverged: its curve has no end to compare.
    """
    values = []
    for seed in search.file.seeds:
        place = run_in(folder, seed)
        if place is None:
            raise UserError(f"{folder}: seed {seed} has left no run")
        run = read_run(place)
        if run.diverged is not None:
            raise optuna.TrialPruned(f"seed {seed} diverged at {run.diverged:,} steps")
        values.append(seed_value(search, run, t_max))
    return float(np.mean(values))


def reached(trial: Any) -> list[float]:
    """Return a trial's value at each rung that it came to."""
    return [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]


def seed_values(search: Search, folder: Path, t_max: int) -> list[float]:
    """Return what each seed of a trial has by the end of a rung of `t_max` steps; NaN where its run was taken away."""
    places = [run_in(folder, seed) for seed in search.file.seeds]
    return [float("nan") if place is None else seed_value(search, read_run(place), t_max) for place in places]


def seed_value(search: Search, run: ArchivedRun, t_max: int) -> float:
    """Return what the search aims at of a run, by what it had logged by the end of a rung of `t_max` steps."""
    try:
        return aimed_at(evaluations_of(run, search.file.metric), search.file, t_max)
    except UserError as why:
        raise UserError(f"{run.folder}: {why}; give another metric or aim") from why


def aimed_at(found: Evaluations, file: SearchFile, t_max: int) -> float:
    """Return what a run has of a search's aim at the end of a rung of `t_max` steps.

    A curve over minutes that is done before the rung's minutes are stays where it ended: whoever takes few updates is
    compared with what others reach meanwhile. Raises `UserError` where the archive tells no times.
    """
    end = int(np.searchsorted(found.steps, t_max)) + 1  # with the one at the rung's end
    hours, updates = (None if part is None else part[:end] for part in (found.hours, found.updates))
    played = Evaluations(found.steps[:end], found.values[:end], hours, updates)
    if file.aim == "end":
        return float(np.mean(played.values[-file.last :]))
    if file.aim == "area":
        return area_under(played.steps, played.values)
    curve = played.against("minutes")
    if curve is None:
        raise UserError("its archive does not tell when it was evaluated")
    assert file.minutes is not None  # read_search has looked
    return area_under(*until(curve, file.minutes * t_max / file.t_max))


def told_aim(file: SearchFile) -> str:
    """Return in words what of the metric is maximised."""
    words = {"end": f"mean of the last {file.last}", "area": "mean over its steps"}
    return words.get(file.aim, f"mean over {file.minutes} minutes")


def config_of_best(search: Search, results: Path) -> Path:
    """Return where the config of a search's best settings is, in a folder as `MMSA_CONFIGS` names one."""
    return results / "configs" / "algs" / f"{search.name}_best.yaml"


def write_best(study: Any, search: Search, path: Path) -> None:
    """Write the best trial's settings as a config that has the method for its base."""
    best, f = study.best_trial, search.file
    lines = [
        f"# The best of {len(study.trials)} trials of {search.name}: {f.metric} {best.value:.4g} "
        f"({told_aim(f)}) on",
        f"# --env-config={f.env_config}, seeds {', '.join(map(str, f.seeds))}, after {search.rungs[-1]} steps. The "
        "seeds were tuned on: report others.",
        f"base: {f.config}",
        *(f"{key}: {text}" for key, text in words_of(best.params).items()),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda partial: partial.write_text("\n".join(lines) + "\n", encoding="utf-8"))
