"""A study's file: which algorithms, tasks, seeds and variants, and how their runs are done. See `docs/studies.md`.

Values are texts, as on the command line of `main.py`, and are read by the settings' own declarations.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from settings import TRICKS, Value, declared_alone, file_label, read_mapping, shown
from utils.errors import UserError, nearest

Settings = dict[str, str]  # dotted key -> text
LARGEST_SEED = 2**32 - 1
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"


class StudyFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the file says. An algorithm is a config's name, or has `config` and settings; a task has `env_config`."""

    algorithms: Annotated[list[str | Settings], Meta(min_length=1)]
    tasks: Annotated[list[Settings], Meta(min_length=1)]
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=LARGEST_SEED)]], Meta(min_length=1)]
    settings: Settings = {}
    variants: dict[str, Settings] = {}
    running: Settings = {}


def read_study(path: Path) -> tuple[str, StudyFile]:
    """Return a study's name, which is its file's, and what the file says; raise `UserError` for a mistake in it."""
    label, name = file_label(path), path.stem
    tree = plain(read_mapping(path, TRICKS)[0], label)
    for what, given in (("its name", name), *(("variant", variant) for variant in _keys(tree, "variants"))):
        check_name(what, given, label)
    if unknown := tree.keys() - set(StudyFile.__struct_fields__):
        word = sorted(unknown)[0]
        raise UserError(f"{label}: unknown {shown(word)!r}: did you mean {nearest(word, StudyFile.__struct_fields__)}?")
    try:
        return name, msgspec.convert(tree, StudyFile, strict=False)
    except msgspec.ValidationError as why:
        raise UserError(f"{label}: {why}; docs/studies.md shows the form") from why


def check_name(what: str, given: str, label: str) -> None:
    """Raise `UserError` for a name that no folder should have."""
    if not re.fullmatch(NAME, given):
        raise UserError(f"{label}: {what} {shown(given)!r} names a folder: use letters, digits, _ and -")


def _keys(tree: Mapping[str, Any], field: str) -> list[str]:
    return list(tree[field]) if isinstance(tree.get(field), dict) else []


def plain(node: yaml.Node, file: str) -> Any:
    """Return a tree's mappings, lists and texts; refuse a key that stands twice."""
    if isinstance(node, yaml.SequenceNode):
        return [plain(item, file) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        return node.value
    values: dict[str, Any] = {}
    for key, value in node.value:
        word = plain(key, file)
        if not isinstance(word, str) or word in values:
            what = f"{shown(word)} stands here twice" if isinstance(word, str) else "a key must be a text"
            raise UserError(f"{file}:{key.start_mark.line + 1}: {what}")
        values[word] = plain(value, file)
    return values


def running_settings(given: Settings, label: str, flags: Mapping[str, str], config_dir: Path) -> dict[str, Value]:
    """Return how the runs are done: `src/config/study.yaml` <- a file's `running` <- the command line's `flags`."""
    declared, values = declared_alone(config_dir / "study.yaml")
    for key, text in (given | dict(flags)).items():
        if key not in declared:
            raise UserError(f"{label}: running: unknown setting {shown(key)!r}: did you mean {nearest(key, declared)}?")
        values[key] = declared[key].parse(text)
    return values
