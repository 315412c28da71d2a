"""Settings of a run: defaults <- environment <- algorithm (with its `base` files) <- protocol <- command line.

An algorithm or a protocol may have a file more for one environment, `NAME.ENV_CONFIG.yaml`, right above its own.

The comments that declare settings are read in `settings_schema`, the lines of one file in `settings_file`.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from settings.arguments import NOT_ONE, owner_of, with_argument
from settings.former_names import former_config, former_setting
from settings.outside import outside_files
from settings.schema import DECLARATION_FORM, Setting, Value, read_declaration, shown
from settings.yaml_file import Entry, read_entries
from utils.errors import UserError, nearest

ALGS, ENVS, PROTOCOLS = "algs", "envs", "protocols"
_FLAGS = {ALGS: "--config", ENVS: "--env-config", PROTOCOLS: "protocol"}
_CHOSEN_BY = {"name": "--config", "base": "--config", "env": "--env-config", "env_config": "--env-config"}


def config_names(config_dir: Path, folder: str) -> list[str]:
    """Return the sorted names (file stems) of the configs in `folder`, which is ALGS, ENVS or PROTOCOLS."""
    stems = {*(path.stem for path in (config_dir / folder).glob("*.yaml")), *outside_files(folder)}
    names = sorted(stem for stem in stems if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", stem))
    return [name for name in names if folder == ENVS or "." not in name]


def resolve(config: str, env_config: str, updates: Mapping[str, str], config_dir: Path) -> dict[str, Any]:
    """Return the nested settings of a run, with `name` and `env_config`: the two configs that they come from.

    `env` and `env_args` are always there.

    `updates` maps dotted keys to raw text. Raises UserError, one line, for a wrong name, file or value.
    """
    declared, values = _load(config, env_config, config_dir)
    if "protocol" in declared:
        protocol = declared["protocol"].parse(updates["protocol"]) if "protocol" in updates else values["protocol"]
        for entry in _protocol_entries(str(protocol), env_config, config_dir) if protocol is not None else ():
            _lay(entry, declared, values)
    for key, text in updates.items():
        if key in _CHOSEN_BY:
            hint = former_setting(key, declared)
            raise UserError(
                f"{key}={shown(text)}: is chosen by {_CHOSEN_BY[key]}, not after 'with'{f'; {hint}' if hint else ''}"
            )
        owner = owner_of(key, (known for known, setting in declared.items() if setting.kind == "arguments"))
        if owner is not None:
            values[owner] = _with_argument(values[owner], owner, key, text)
            continue
        if key not in declared:
            raise _unknown(key, declared, config, env_config, config_dir)
        values[key] = declared[key].parse(text)
    return {"name": config, "env_config": env_config, "env_args": {}} | _nested(values)


def _with_argument(held: Value, owner: str, key: str, text: str) -> str:
    name = key.removeprefix(f"{owner}.")
    value = with_argument(str(held), name, text.strip()) if name.isprintable() and text.isprintable() else None
    if value is None:
        raise UserError(f"{shown(key)}={shown(text)}: must be an entry of {owner}, {NOT_ONE}")
    return value


def declared_settings(config: str, env_config: str, config_dir: Path) -> dict[str, Setting]:
    """Return every setting of this pair of configs by dotted key. Raises UserError as `resolve` does."""
    return _load(config, env_config, config_dir)[0]


def listed_settings(
    config: str | None, env_config: str | None, config_dir: Path
) -> tuple[dict[str, Setting], dict[str, Value]]:
    """Return settings and their values by dotted key; those that all have, where a config is None."""
    return _load(config, env_config, config_dir)


def _load(config: str | None, env_config: str | None, config_dir: Path) -> tuple[dict[str, Setting], dict[str, Value]]:
    if config is not None:
        _path(config, ALGS, config_dir)  # is named first, where both names are wrong
    environment = [] if env_config is None else _environment_entries(env_config, config_dir)
    algorithm = [] if config is None else _algorithm_entries(config, config_dir, env_config or "")
    declared: dict[str, Setting] = {}
    values: dict[str, Value] = {}
    for entry in [*read_entries(config_dir / "default.yaml"), *environment, *algorithm]:
        _lay(entry, declared, values)
    return declared, values


def _path(name: str, folder: str, config_dir: Path, place: str = "") -> Path:
    known = config_names(config_dir, folder)
    if name not in known:
        hint = former_config(name) or (
            f"did you mean {nearest(shown(name), known)}? (known: {', '.join(known) or 'none'})"
        )
        raise UserError(f"{place or _FLAGS[folder]}: unknown name {shown(name)!r}: {hint}")
    own = config_dir / folder / f"{name}.yaml"
    return own if own.is_file() else outside_files(folder)[name]


def _environment_entries(name: str, config_dir: Path) -> list[Entry]:
    path = _path(name, ENVS, config_dir)
    entries = read_entries(path)
    if not any(entry.key == "env" for entry in entries):
        raise UserError(f"{entries[0].file}: must set env, the registry name of the environment")
    return entries


def _protocol_entries(name: str, env_config: str, config_dir: Path) -> list[Entry]:
    """Return what a protocol sets, and above it what it sets with this environment alone."""
    entries = _with_special(_path(name, PROTOCOLS, config_dir), env_config)
    for entry in entries:
        if entry.key in ("env", "protocol"):
            raise UserError(f"{entry.place}: {entry.key} is not for a protocol to set")
    return entries


def _with_special(path: Path, env_config: str) -> list[Entry]:
    """Return the entries of a file, then those of the file beside it that is for this environment alone."""
    special = path.with_name(f"{path.stem}.{env_config}.yaml")
    return read_entries(path) + (read_entries(special) if special.exists() else [])


def _algorithm_entries(name: str, config_dir: Path, env_config: str) -> list[Entry]:
    """Return the entries of the whole chain of `base` files, the lowest first."""
    entries: list[Entry] = []
    names, place = [name], ""
    while True:
        layer = _with_special(_path(names[-1], ALGS, config_dir, place), env_config)
        if misplaced := [entry for entry in layer if entry.key == "env"]:
            raise UserError(f"{misplaced[0].place}: env is chosen by {_FLAGS[ENVS]}, not by an algorithm")
        entries = [entry for entry in layer if entry.key != "base"] + entries
        base = next((entry for entry in layer if entry.key == "base"), None)
        if base is None:
            return entries
        if base.text in names:
            raise UserError(f"{base.place}: base: {base.text} leads in a circle")
        names.append(base.text)
        place = f"{base.place}: base"


def _lay(entry: Entry, declared: dict[str, Setting], values: dict[str, Value]) -> None:
    """Declare or override one setting in place."""
    key = entry.key
    if key in ("name", "base", "env_config"):
        raise UserError(f"{entry.place}: {key} is no setting (`base` belongs in files under {ALGS}/, once)")
    setting = read_declaration(key, entry.comment, entry.file, entry.line)
    if setting is not None:
        _refuse_second(setting, declared)
        declared[key] = setting
        values[key] = setting.parse(entry.text)
        return
    if key not in declared:
        hint = f"did you mean {_nearest_keys(key, declared)}? or " if declared else ""
        raise UserError(f"{entry.place}: {key} is declared nowhere; {hint}to declare it: {DECLARATION_FORM}")
    try:
        values[key] = declared[key].parse(entry.text)
    except UserError as error:
        raise UserError(f"{entry.place}: {error}") from error


def _refuse_second(new: Setting, declared: Mapping[str, Setting]) -> None:
    for old in declared.values():
        nested = old.key.startswith(f"{new.key}.") or new.key.startswith(f"{old.key}.")
        if old.key == new.key or nested:
            first = f"{old.key} is declared in {old.file}:{old.line} already"
            raise UserError(f"{new.file}:{new.line}: {new.key} is declared a second time: {first}")


def _nearest_keys(key: str, declared: Mapping[str, Setting]) -> str:
    """Return the declared keys whose last part is closest to that of `key`, whatever their group."""
    head, last = key.split(".")[0], key.split(".")[-1].lower()[:100]
    if head in declared:
        return head
    by_last: dict[str, list[str]] = {}
    for known in declared:
        by_last.setdefault(known.split(".")[-1].lower(), []).append(known)
    close = get_close_matches(last, by_last, 3, 0.6) or get_close_matches(last, by_last, 3, 0.0)
    return " or ".join(known for word in close for known in by_last[word])


def _unknown(key: str, declared: Mapping[str, Setting], config: str, env_config: str, config_dir: Path) -> UserError:
    """Return the error for an assignment to a key that this pair of configs does not declare."""
    members = [known for known in declared if known.startswith(f"{key}.")]
    if members:
        return UserError(f"{shown(key)}: is a group; assign to one of its settings: {', '.join(members)}")
    here = f"{_FLAGS[ALGS]}={config} {_FLAGS[ENVS]}={env_config}"
    if former := former_setting(key, declared):
        return UserError(f"unknown setting {shown(key)!r} with {here}: {former}")
    owners = [
        f"{_FLAGS[ALGS]}={name}"
        for name in config_names(config_dir, ALGS)
        if any(entry.key == key for entry in _algorithm_entries(name, config_dir, env_config))
    ]
    owners += [
        f"{_FLAGS[ENVS]}={name}"
        for name in config_names(config_dir, ENVS)
        if any(entry.key == key for entry in _environment_entries(name, config_dir))
    ]
    hint = f"did you mean {_nearest_keys(key, declared)}?"
    if owners:
        hint = f"only known with {' or '.join(owners)}"
    return UserError(f"unknown setting {shown(key)!r} with {here}: {hint}")


def _nested(values: Mapping[str, Value]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *groups, last = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = value
    return tree
