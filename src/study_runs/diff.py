"""Why two archived runs could disagree: settings, seeds, code, packages, machines; and where their figures part."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from settings import Effect, declared_settings, earlier_values, effects, flat, read_info, read_json
from study_runs.asked import CONFIG_DIR
from utils.errors import UserError

ABSENT = "(not recorded)"


class Difference(NamedTuple):
    """One thing in which two runs differ, and what each has; texts."""

    kind: str
    what: str
    one: str
    other: str
    effect: Effect


_SHORT = re.compile("([0-9a-f]{12})[0-9a-f]{28}")
_MACHINE = {"hostname": Effect.NOTHING, "cpu": Effect.ROUNDING, "os": Effect.ROUNDING, "gpus": Effect.ROUNDING}
_OF_THE_MACHINE = ("time_", "steps_per_second")  # metrics that differ from one time to the next


class _Archive(NamedTuple):
    config: dict[str, Any]
    run: dict[str, Any]
    info: dict[str, Any]
    metrics: dict[str, Any]


def differences(one: Path, other: Path) -> list[Difference]:
    """Return all differences between the runs in two folders; raise `UserError` where one cannot be read."""
    if one.resolve() == other.resolve():
        raise UserError(f"{one} and {other} are the same run; give two")
    a, b = _read(one), _read(other)
    return [*_settings(a, b), *_code(a, b), *_machine(a, b), *_course(a, b)]


def first_parting(one: Path, other: Path) -> tuple[int, str, float, float] | None:
    """Return where the figures of two runs part: environment steps, metric, both values; None if they never do.

    Only steps at which both have logged a figure are compared.
    """
    a, b = _read(one).metrics, _read(other).metrics
    found = []
    for name in sorted(a.keys() & b.keys()):
        if not name.startswith(_OF_THE_MACHINE):
            values = dict(zip(b[name]["steps"], b[name]["values"], strict=False))
            for step, value in zip(a[name]["steps"], a[name]["values"], strict=False):
                if step in values and values[step] != value and not value != value:  # NaN says nothing
                    found.append((step, name, value, values[step]))
                    break
    return min(found, default=None)


def _read(folder: Path) -> _Archive:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no run here; give results/sacred/<task>/<algorithm>/<id>")
    files = [folder / f"{name}.json" for name in _Archive._fields]
    held = [read_json(file) if file.is_file() else {} for file in files]
    for file, data in zip(files, held, strict=True):
        if not isinstance(data, dict):
            raise UserError(f"{file} cannot be read (it holds no names); is this a run's folder?")
    return _Archive(*held)._replace(info=read_info(folder))


def _settings(a: _Archive, b: _Archive) -> Iterator[Difference]:
    one, other = _whole(a.config), _whole(b.config)
    for key, x, y in _unequal(one, other):
        effect = effects(CONFIG_DIR).get(key, Effect.CHANGES)
        yield Difference("seed" if key == "seed" else "setting", key, x, y, effect)


def _code(a: _Archive, b: _Archive) -> Iterator[Difference]:
    for _, x, y in _unequal({"": _commits(a)}, {"": _commits(b)}):
        yield Difference("code", "commit", x, y, Effect.CHANGES)
    if _commits(a) == _commits(b) and "+changes" in _commits(a):
        yield Difference("code", "uncommitted changes", "some", "some, perhaps others", Effect.CHANGES)
    for package, x, y in _unequal(a.info.get("environment", {}), b.info.get("environment", {})):
        yield Difference("environment", package, x, y, Effect.CHANGES)
    for package, x, y in _unequal(_packages(a), _packages(b)):
        yield Difference("package", package, x, y, Effect.ROUNDING)


def _machine(a: _Archive, b: _Archive) -> Iterator[Difference]:
    for key, x, y in _unequal(a.run.get("host", {}), b.run.get("host", {})):
        if key in _MACHINE:
            yield Difference("machine", key, x, y, _MACHINE[key])


def _course(a: _Archive, b: _Archive) -> Iterator[Difference]:
    for _, x, y in _unequal({"": a.run.get("status")}, {"": b.run.get("status")}):
        yield Difference("course", "how it ended", x, y, Effect.CHANGES)
    for _, x, y in _unequal({"": _resumed(a)}, {"": _resumed(b)}):
        yield Difference("course", "resumed at step", x, y, Effect.NOTHING)


def _commits(archive: _Archive) -> str:
    """Return the commit, and those of later starts where they differ."""
    commits = [archive.info.get("commit", ABSENT), *(start["commit"] for start in archive.info.get("resumed", []))]
    return ", then ".join(_SHORT.sub(r"\1", commit) for commit, _ in groupby(commits))


def _packages(archive: _Archive) -> dict[str, str]:
    versions = dict(text.split("==") for text in archive.run.get("experiment", {}).get("dependencies", []))
    python = archive.run.get("host", {}).get("python_version", ABSENT)
    return {"python": python} | versions | archive.info.get("packages", {})


def _resumed(archive: _Archive) -> str:
    return ", ".join(str(start["t_env"]) for start in archive.info.get("resumed", [])) or "never"


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in sorted(one.keys() | other.keys()):
        x, y = one.get(key, ABSENT), other.get(key, ABSENT)
        if x != y:
            yield key, str(x), str(y)


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an archive's settings by dotted key, with what those stood for that are younger than it."""
    given = flat(config)
    try:
        declared = declared_settings(config["name"], config["env_config"], CONFIG_DIR)
        early = earlier_values(given, config["name"], config["env_config"], CONFIG_DIR)
    except (KeyError, TypeError, UserError):  # configs that this version has not
        return given
    return {key: declared[key].parse(text) for key, text in early.items()} | given
