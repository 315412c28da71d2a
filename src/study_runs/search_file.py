"""A search's file: a method, a task, seeds to tune on, and the space of settings. docs/studies.md shows the form."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from settings import TRICKS, Setting, Value, declared_settings, file_label, read_mapping, resolve, shown
from study_runs.study_file import LARGEST_SEED, Settings, check_name, plain, running_settings
from utils.errors import UserError, nearest

REPORTING_SEEDS = frozenset(range(101, 106))  # they choose nothing
BY_MINUTES = "area_per_minute"
Aim = Literal["end", "area", "area_per_minute"]
AIMS = get_args(Aim)
GIVEN_ELSEWHERE = {"seed": "`seeds` lists them", "t_max": "`t_max` says it", "local_results_path": "the search does",
                   "threads": "`running` has cpus_per_run"}  # fmt: skip


class Numbers(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An interval of the space: both ends belong to it; `log` draws evenly in the logarithm."""

    low: str
    high: str
    log: bool = False


class SearchFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the file says: of each setting of the space its choices, or an interval.

    `first`: settings of the space that are tried before any are drawn; what one leaves out is drawn.
    `aim`: what of the metric's curve is maximised, its last evaluations, its mean over the steps of a rung (area), or
    its mean over the minutes that a rung may take (area_per_minute), those of the last one being `minutes`.
    """

    config: str
    env_config: str
    space: dict[str, list[str] | Numbers]
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=LARGEST_SEED)]], Meta(min_length=1)]
    t_max: Annotated[int, Meta(ge=1)]
    settings: Settings = {}
    first: Annotated[list[Settings], Meta(min_length=1)] | None = None
    metric: str = "test_return_mean"
    aim: Aim = "end"
    minutes: Annotated[float, Meta(gt=0)] | None = None
    last: Annotated[int, Meta(ge=1, le=1000)] = 3
    rungs: Annotated[int, Meta(ge=1, le=10)] = 3
    reduction: Annotated[int, Meta(ge=2, le=10)] = 3
    running: Settings = {}


class Axis(NamedTuple):
    """A setting of the space: its choices, or the ends of its interval, read by its declaration."""

    setting: Setting
    choices: tuple[Value, ...] = ()
    low: Any = None
    high: Any = None
    log: bool = False


class Search(NamedTuple):
    """A search as its file asks for it.

    `first`: what is tried before anything is drawn. `rungs`: the steps after which a trial is compared, the last one
    t_max. `running`: how its runs are done.
    """

    name: str
    file: SearchFile
    axes: Mapping[str, Axis]
    first: tuple[dict[str, Value], ...]
    rungs: tuple[int, ...]
    running: dict[str, Any]


def read_search(path: Path, config_dir: Path, flags: Mapping[str, str] = MappingProxyType({})) -> Search:
    """Return a search, checked; raise `UserError`, one line, for a mistake in its file."""
    label = file_label(path)
    tree = plain(read_mapping(path, TRICKS)[0], label)
    check_name("its name", path.stem, label)
    if unknown := sorted(tree.keys() - set(SearchFile.__struct_fields__)):
        known = nearest(unknown[0], SearchFile.__struct_fields__)
        raise UserError(f"{label}: unknown {shown(unknown[0])!r}: did you mean {known}?")
    try:
        file = msgspec.convert(tree, SearchFile, strict=False)
    except msgspec.ValidationError as why:
        raise UserError(f"{label}: {why}; docs/studies.md shows the form") from why
    try:
        axes, rungs = _checked(file, config_dir), rungs_of(file)
        first = tuple(_tried_first(given, axes) for given in file.first or ())
        if any(settings in first[:before] for before, settings in enumerate(first)):
            raise UserError("first: settings stand here twice")
    except UserError as why:
        raise UserError(f"{label}: {why}") from why
    running = running_settings(file.running, label, flags, config_dir)
    # Where a study divides a machine's CPUs, a search takes one: the same here and on a cluster.
    return Search(path.stem, file, axes, first, rungs, running | {"cpus_per_run": running["cpus_per_run"] or 1})


def rungs_of(file: SearchFile) -> tuple[int, ...]:
    """Return the steps of the rungs: each trains `reduction` times as long as the one before."""
    steps = [file.t_max // file.reduction**k for k in reversed(range(file.rungs))]
    if steps[0] < 1:
        raise UserError(f"t_max={file.t_max}: too short for {file.rungs} rungs, each {file.reduction} times the last")
    return tuple(steps)


def _checked(file: SearchFile, config_dir: Path) -> dict[str, Axis]:
    if reporting := sorted(REPORTING_SEEDS & set(file.seeds)):
        raise UserError(f"seeds: {reporting[0]} is a reporting seed, and 101-105 choose nothing; tune on others")
    if len(set(file.seeds)) < len(file.seeds):
        raise UserError("seeds: one stands here twice")
    if (file.minutes is None) == (file.aim == BY_MINUTES):
        raise UserError(f"minutes belong to aim: {BY_MINUTES}, which needs them")
    for key in (*file.settings, *file.space):
        if key in GIVEN_ELSEWHERE:
            raise UserError(f"{key} is not to be given: {GIVEN_ELSEWHERE[key]}")
    if twice := sorted(file.settings.keys() & file.space.keys()):
        raise UserError(f"{twice[0]} stands under settings and in the space")
    if not file.space:
        raise UserError("space: there is nothing to search")
    declared = declared_settings(file.config, file.env_config, config_dir)
    resolve(file.config, file.env_config, file.settings, config_dir)
    return {key: _axis(key, asked, declared) for key, asked in file.space.items()}


def _axis(key: str, asked: list[str] | Numbers, declared: Mapping[str, Setting]) -> Axis:
    if key not in declared:
        raise UserError(f"space: unknown setting {shown(key)!r}; did you mean {nearest(key, declared)}?")
    if "." in key:
        raise UserError(f"space: {key} says what the task is; it belongs under settings")
    setting = declared[key]
    if isinstance(asked, list):
        choices = tuple(setting.parse(text) for text in asked)
        if len(set(choices)) < max(len(choices), 2):
            raise UserError(f"space: {key}: give at least two choices, each once")
        return Axis(setting, choices)
    if setting.kind not in ("int", "float"):
        raise UserError(f"space: {key} is no number: list its choices, [a, b]")
    low: Any = setting.parse(asked.low)  # by its kind a number, or null where it may be
    high: Any = setting.parse(asked.high)
    if low is None or high is None or not low < high or abs(high) == float("inf") or abs(low) == float("inf"):
        raise UserError(f"space: {key}: low and high are two numbers, the first one smaller")
    if asked.log and low <= 0:
        raise UserError(f"space: {key}: log wants a low above 0")
    return Axis(setting, (), low, high, asked.log)


def _tried_first(given: Mapping[str, str], axes: Mapping[str, Axis]) -> dict[str, Value]:
    """Return settings to try before any are drawn; raise `UserError` for one that the space does not have."""
    tried = {}
    for key, text in given.items():
        if key not in axes:
            raise UserError(f"first: {shown(key)!r} is not in the space; settings that stay belong under settings")
        axis = axes[key]
        value: Any = axis.setting.parse(text)
        inside = value in axis.choices if axis.choices else value is not None and axis.low <= value <= axis.high
        if not inside:
            raise UserError(f"first: {key}={shown(text)} is outside the space")
        tried[key] = value
    return tried
