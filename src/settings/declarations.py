"""What is declared of settings beyond their values: which may change in a run's life, what archives without them mean.

A setting says it once, by the tags behind its meaning (default.yaml explains them).
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from settings.config import ALGS, ENVS, declared_settings
from settings.for_hosts import FOR_HOSTS
from settings.outside import outside_files
from settings.schema import Effect, Setting, Value, read_declaration
from settings.yaml_file import read_entries

RESUME = "resume.yaml"
LENGTH = "t_max"  # how far a run goes is no part of what it is: it may be trained on


@cache
def effects(config_dir: Path) -> dict[str, Effect]:
    """Return what every setting that any file declares does to figures, by dotted key."""
    return {setting.key: setting.effect for setting in _declarations(_files(config_dir))}


def all_declared(config_dir: Path) -> dict[str, list[Setting]]:
    """Return all declarations of each setting in the files under `config_dir` and from outside, by dotted key."""
    found: dict[str, list[Setting]] = {}
    for setting in _declarations(_files(config_dir)):
        found.setdefault(setting.key, []).append(setting)
    return found


def _files(config_dir: Path) -> list[Path]:
    parts = [path for part in (ENVS, ALGS) for path in (config_dir / part).glob("*.yaml")]
    outside = [path for part in (ENVS, ALGS) for path in outside_files(part).values()]
    return [config_dir / "default.yaml", *parts, *outside]


def _declarations(files: Iterable[Path]) -> Iterator[Setting]:
    for path in sorted(files):
        for entry in read_entries(path):
            setting = read_declaration(entry.key, entry.comment, entry.file, entry.line)
            if setting is not None:
                yield setting


@cache
def _declared(config: str, env_config: str, config_dir: Path) -> dict[str, Setting]:
    return declared_settings(config, env_config, config_dir)


def changeable(config: str, env_config: str, config_dir: Path) -> set[str]:
    """Return the settings of a pair of configs that may change when a run goes on: the free ones, and `t_max`."""
    return {key for key, setting in _declared(config, env_config, config_dir).items() if setting.free or key == LENGTH}


def identity(settings: Mapping[str, Any], config_dir: Path) -> dict[str, Any]:
    """Return, by dotted key, the resolved settings that tell a run from others: all that stay through its life."""
    kept = flat(settings)
    for key in changeable(settings["name"], settings["env_config"], config_dir):
        kept.pop(key, None)
    return kept


def earlier_values(given: Mapping[str, Any], config: str, env_config: str, config_dir: Path) -> dict[str, Any]:
    """Return what settings stood for that an archive does not give, where their declarations say so.

    `given` and the result are by dotted key; a value is as in `given`, or as text.
    """
    found = {}
    for setting in _absent(given, config, env_config, config_dir):
        if setting.before is not None:
            found[setting.key] = setting.before
        elif setting.before_as is not None and setting.before_as in given:
            found[setting.key] = given[setting.before_as]
    return found


def unexplained(given: Mapping[str, Any], config: str, env_config: str, config_dir: Path) -> list[str]:
    """Return the settings that an archive does not give, that change figures, and of which nobody has said more."""
    known = earlier_values(given, config, env_config, config_dir)
    absent = _absent(given, config, env_config, config_dir)
    return [s.key for s in absent if s.key not in known and s.effect is Effect.CHANGES]


def _absent(given: Mapping[str, Any], config: str, env_config: str, config_dir: Path) -> list[Setting]:
    declared = _declared(config, env_config, config_dir)
    return [setting for key, setting in declared.items() if key not in given and key != "env"]


def declared_alone(path: Path) -> tuple[dict[str, Setting], dict[str, Value]]:
    """Return what a file declares that is no part of a run's settings, by key, and the values that it gives."""
    declared, values = {}, {}
    for entry in read_entries(path):
        setting = read_declaration(entry.key, entry.comment, entry.file, entry.line)
        assert setting is not None, entry.place
        declared[entry.key], values[entry.key] = setting, setting.parse(entry.text)
    return declared, values


def resume_options(updates: Mapping[str, str], config_dir: Path) -> tuple[dict[str, Value], dict[str, str]]:
    """Return how a run is to be gone on with, and the rest of what stands after `with`: changes of its settings."""
    declared, values = declared_alone(config_dir / RESUME)
    given = {key: setting.parse(updates[key]) for key, setting in declared.items() if key in updates}
    return values | given, {key: text for key, text in updates.items() if key not in declared}


def flat(settings: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key, without what an archive repeats at its top for other frameworks."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if group or key not in FOR_HOSTS:
            found |= flat(value, f"{group}{key}.") if isinstance(value, dict) else {group + key: value}
    return found
