"""Reads one settings file into its entries: dotted key, text of the value, comment, place. Runs no tags."""

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from settings.schema import shown
from utils.errors import UserError

TRICKS = {
    yaml.TagToken: "a tag",
    yaml.AnchorToken: "an anchor",
    yaml.AliasToken: "an alias",
    yaml.DirectiveToken: "a directive",
}
_REFUSED_TOKENS = TRICKS | {
    yaml.BlockEntryToken: "a list",
    yaml.FlowSequenceStartToken: "a list",
    yaml.FlowMappingStartToken: "a mapping in braces",
}


@dataclass(frozen=True)
class Entry:
    """One `key: text  # comment` of a settings file; nested keys are joined by dots."""

    key: str
    text: str
    comment: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """`file:line`, for messages."""
        return f"{self.file}:{self.line}"


def read_entries(path: Path) -> list[Entry]:
    """Return the entries of the file at `path` in their order.

    Raises UserError, one line with file and line, for whatever is not plain nested `key: value` lines.
    """
    file = file_label(path)
    return list(_entries(_text_of(path, file), file))


@lru_cache(maxsize=512)
def _entries(text: str, file: str) -> tuple[Entry, ...]:
    """Return the entries of a text: kept, for a study resolves a thousand runs from the same few files."""
    return tuple(_walk(_parsed(text, file, _REFUSED_TOKENS), "", text, file))


def read_mapping(path: Path, refused: Mapping[type[yaml.Token], str]) -> tuple[yaml.MappingNode, str]:
    """Return the YAML of a file as a tree, not yet made into values, and its text.

    Raises UserError, one line with file and line, where it cannot be read, is no mapping, or has a refused token.
    """
    file = file_label(path)
    text = _text_of(path, file)
    return _parsed(text, file, refused), text


def _text_of(path: Path, file: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        raise UserError(f"{file}: cannot be read: {reason}") from error


def _parsed(text: str, file: str, refused: Mapping[type[yaml.Token], str]) -> yaml.MappingNode:
    try:
        _refuse_tokens(text, file, refused)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UserError(f"{file}:{line}: not valid YAML: {shown(error.problem or str(error))}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{file}:{line}: not valid YAML: {error.reason}") from error
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{file}:1: must hold `key: value` lines, and holds none")
    return root


def file_label(path: Path) -> str:
    """Return `path` for messages: relative where it lies below the working directory."""
    full, here = path.absolute(), Path.cwd()
    return shown(str(full.relative_to(here) if full.is_relative_to(here) else full))


def _refuse_tokens(text: str, file: str, refused: Mapping[type[yaml.Token], str]) -> None:
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if (what := refused.get(type(token))) is not None:
            line = token.start_mark.line + 1
            raise UserError(f"{file}:{line}: {what} is not accepted, only `key: value` lines (quote a text)")


def _walk(node: yaml.MappingNode, prefix: str, text: str, file: str) -> Iterator[Entry]:
    seen: dict[str, int] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        key = prefix + _name(key_node, f"{file}:{line}")
        if key in seen:
            raise UserError(f"{file}:{line}: {key} stands here twice, first in line {seen[key]}")
        seen[key] = line
        if isinstance(value, yaml.MappingNode):
            yield from _walk(value, key + ".", text, file)
        else:
            yield _leaf(key, value, text, file)


def _name(node: yaml.Node, place: str) -> str:
    name = str(node.value) if isinstance(node, yaml.ScalarNode) else "(a mapping)"
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"{place}: {shown(name)!r} is no name: use letters, digits and _, no Python keyword")
    return name


def _leaf(key: str, node: yaml.ScalarNode, text: str, file: str) -> Entry:
    line = node.start_mark.line + 1
    if not node.value.strip():
        raise UserError(f"{file}:{line}: {key} has no value: write one, or null where the kind allows it")
    if node.style in ("|", ">") or node.end_mark.line != node.start_mark.line:
        raise UserError(f"{file}:{line}: the value of {key} must stand on one line")
    rest = re.match("[^\n]*", text[node.end_mark.index :])
    comment = rest[0].strip().lstrip("#").strip() if rest else ""
    return Entry(key, node.value, comment, file, line)
