"""A file of ours as it runs where a host may be older: on Python from 3.8 and Torch from 1.12 on.

The text stays what it is but for four things: annotations are no longer evaluated; a type that a module names for
itself (`Scalars = dict[str, Tensor]`) becomes a text; what is young in Python or Torch is called from `mmsa/older.py`,
which has the real one where there is one; and imports of our files of each other begin with `mmsa.`. Whatever else
Python 3.8 lacks is not to be written into these files: `tests/test_plugin_older.py` finds it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# What is called under another name there.
STAND_INS = {
    "zip": "older.zip",  # with `strict` alone
    "nn.utils.get_total_norm": "older.get_total_norm",
    "nn.utils.clip_grads_with_norm_": "older.clip_grads_with_norm_",
    "th.optim.Adam": "older.Adam",
}
# What Python 3.8 cannot put brackets behind.
GENERIC = {
    "Callable", "Iterable", "Iterator", "Mapping", "Sequence", "dict", "frozenset", "list", "set", "tuple", "type",
}  # fmt: skip


class Edit(NamedTuple):
    """What stands there instead of the bytes `start` to `end` of a line, which is counted from 1."""

    line: int
    start: int
    end: int
    new: str


def made_older(text: str, moved: Mapping[str, str]) -> str:
    """Return a file's text as a host gets it; `moved` are modules of ours, by the names they have there."""
    tree = ast.parse(text)
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    stand_ins = list(_stand_ins(tree))
    edits = [*stand_ins, *_named_types(tree, lines), *_imports(tree, lines, moved)]
    for number, start, end, new in sorted(edits, reverse=True):
        line = lines[number - 1]
        lines[number - 1] = line[:start] + new.encode() + line[end:]
    head = ["from __future__ import annotations"] if "from __future__ import annotations" not in text else []
    head += ["from mmsa import older"] if stand_ins else []
    lines.insert(_head_end(tree), "".join(f"\n{line}\n" for line in head).encode())
    return b"".join(lines).decode()


def _head_end(tree: ast.Module) -> int:
    """Return the number of the line that ends the docstring and imports from the future; 0 without."""
    docstring = tree.body[:1] if ast.get_docstring(tree) is not None else []
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    return max([node.end_lineno or 0 for node in [*docstring, *future]], default=0)


def _stand_ins(tree: ast.Module) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            strict = any(keyword.arg == "strict" for keyword in node.keywords)
            if name in STAND_INS and (strict or name != "zip"):
                yield _instead(node.func, STAND_INS[name])


def _named_types(tree: ast.Module, lines: list[bytes]) -> Iterator[Edit]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_type(node.value):
            value = node.value
            yield _instead(value, f"'{lines[value.lineno - 1][value.col_offset : value.end_col_offset].decode()}'")


def _is_type(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        return dotted(node.value) in GENERIC
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)


def _imports(tree: ast.Module, lines: list[bytes], moved: Mapping[str, str]) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in moved:
            start = node.col_offset + len("from ")
            assert lines[node.lineno - 1][start:].startswith(node.module.encode()), f"line {node.lineno}: one space"
            yield Edit(node.lineno, start, start + len(node.module), f"mmsa.{moved[node.module]}")


def _instead(node: ast.expr, new: str) -> Edit:
    assert node.lineno == node.end_lineno, f"line {node.lineno}: must be on one line to become {new}"
    return Edit(node.lineno, node.col_offset, node.end_col_offset or 0, new)


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of names, and nothing for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""
