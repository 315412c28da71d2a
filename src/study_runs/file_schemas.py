"""Files of studies and searches as JSON Schema (draft 2020-12), so that editors check and complete them.

What a schema refuses the parser refuses too, and the other way round (`tests/test_study_schema.py`), but for what hangs
on several lines at once: whether a method has a setting, whether a run is asked for twice. That is the parser's alone.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from settings import (
    ALGS,
    DIALECT,
    ENVS,
    Setting,
    all_declared,
    any_declared,
    config_names,
    declared_alone,
    setting_schema,
)
from study_runs import planned_run, search_file
from study_runs.study_file import LARGEST_SEED, NAME

Schema = dict[str, Any]
Declared = Mapping[str, list[Setting]]
SETTINGS: Schema = {"$ref": "#/$defs/settings"}


def study_schema(config_dir: Path) -> Schema:
    """Return the schema of a study's file."""
    declared = _given_here(config_dir, planned_run.GIVEN_ELSEWHERE)
    algs, envs = config_names(config_dir, ALGS), config_names(config_dir, ENVS)
    fields = {
        "algorithms": _list("methods, by name or with settings of their own: {config: NAME, key: value}",
                            {"anyOf": [{"enum": algs}, _beside(declared, config=algs)]}),
        "tasks": _list("what is played: an env_config, and the settings that make the task",
                       _beside(declared, env_config=envs)),
        "seeds": _seeds(()),
        "settings": _said("settings of every run", SETTINGS),
        "variants": _said("all of the study once for each, for the methods that have its settings", {
            "type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": SETTINGS}),
        "running": _running(config_dir),
    }  # fmt: skip
    return _file("Study of MMSA for PyMARL", fields, ("algorithms", "tasks", "seeds"), declared)


def search_schema(config_dir: Path) -> Schema:
    """Return the schema of a search's file."""
    declared = _given_here(config_dir, search_file.GIVEN_ELSEWHERE)
    space = {key: _axis(key, declared[key]) for key in declared if "." not in key}
    fields = {
        "config": _said("the method", {"enum": config_names(config_dir, ALGS)}),
        "env_config": _said("the suite", {"enum": config_names(config_dir, ENVS)}),
        "space": _said("of each setting its choices, [8, 32], or an interval, {low: 0.0001, high: 0.01, log: true}",
                       _object(space) | {"minProperties": 1}),
        "seeds": _seeds(search_file.REPORTING_SEEDS),
        "t_max": _said("environment steps of the last rung", {"type": "integer", "minimum": 1}),
        "settings": _said("settings of every trial", SETTINGS),
        "first": _list("settings of the space that are tried before any are drawn",
                       SETTINGS | {"propertyNames": {"pattern": "^[^.]+$"}}),
        "metric": _said("what is maximised (test_return_mean)", {"type": "string"}),
        "aim": _said("what of the metric's curve counts (end)", {"enum": list(search_file.AIMS)}),
        "minutes": _said("minutes of the last rung", {"type": "number", "exclusiveMinimum": 0}),
        "last": _said("evaluations that count at the end (3)", _whole(1, 1000)),
        "rungs": _said("how often trials are compared (3)", _whole(1, 10)),
        "reduction": _said("how many times as long as the one before a rung is (3)", _whole(2, 10)),
        "running": _running(config_dir),
    }  # fmt: skip
    by_minutes = {"properties": {"aim": {"const": search_file.BY_MINUTES}}, "required": ["aim"]}
    told = {"required": ["minutes"]}
    form = _file("Search of MMSA for PyMARL", fields, ("config", "env_config", "space", "seeds", "t_max"), declared)
    return form | {"if": by_minutes, "then": told, "else": {"not": told}}


def _running(config_dir: Path) -> Schema:
    running = {key: setting_schema(setting) for key, setting in declared_alone(config_dir / "study.yaml")[0].items()}
    for form in running.values():
        form["description"] = form["description"].rpartition(" (")[0]  # its place, which moves
    return _said("how the runs are done", _object(running))


def _given_here(config_dir: Path, elsewhere: Iterable[str]) -> Declared:
    """Return the settings that such a file may give."""
    left_out = {*elsewhere, "env"}
    return {key: found for key, found in all_declared(config_dir).items() if key not in left_out}


def _file(title: str, fields: Mapping[str, Schema], needed: Iterable[str], declared: Declared) -> Schema:
    """Return a file's schema. What a setting takes stands once in it, under `$defs`."""
    settings = _object({key: any_declared(found) for key, found in declared.items()}) | _entries(declared)
    return {"$schema": DIALECT, "title": title, **_object(fields, needed), "$defs": {"settings": settings}}


def _beside(declared: Declared, **named: list[str]) -> Schema:
    """Return the schema of the config that is `named`, and of settings beside it."""
    names = {word: {"enum": given} for word, given in named.items()}
    return _object(names | {key: _of(key) for key in declared}, named) | _entries(declared)


def _entries(declared: Declared) -> Schema:
    """Return the schema of entries of settings that are arguments, `env_args.kwargs.n_agents`."""
    entry = {"type": ["string", "number", "boolean", "null"]}
    owners = (key.replace(".", "[.]") for key, found in declared.items() if found[0].kind == "arguments")
    return {"patternProperties": {f"^{owner}[.].": entry for owner in owners}}


def _axis(key: str, found: list[Setting]) -> Schema:
    choices = {"type": "array", "items": _of(key), "minItems": 2, "uniqueItems": True}
    if not any(setting.kind in ("int", "float") for setting in found):
        return choices
    ends = {"low": _number(key), "high": _number(key), "log": {"type": "boolean"}}
    return {"anyOf": [choices, _object(ends, ("low", "high"))]}


def _number(key: str) -> Schema:
    return {"type": "number", **_of(key)}


def _of(key: str) -> Schema:
    return {"$ref": f"{SETTINGS['$ref']}/properties/{key}"}


def _object(properties: Mapping[str, Schema], needed: Iterable[str] = ()) -> Schema:
    form = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return form | ({"required": list(needed)} if needed else {})


def _list(meaning: str, item: Schema) -> Schema:
    return _said(meaning, {"type": "array", "items": item, "minItems": 1, "uniqueItems": True})


def _seeds(refused: Iterable[int]) -> Schema:
    seed = _whole(0, LARGEST_SEED) | ({"not": {"enum": sorted(refused)}} if refused else {})
    return _list("seeds; 101-105 report, and choose nothing", seed)


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _said(meaning: str, form: Schema) -> Schema:
    return {"description": meaning, **form}
