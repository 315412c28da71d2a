"""Which files of a program a part of it uses, read from their imports without running them."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def digests(top: Path, roots: Iterable[str], closed: Iterable[str]) -> dict[str, str]:
    """Return the files below `top` that modules use, directly or through others, each with 12 digits of its SHA-256.

    Args:
        top: the folder that absolute imports start from.
        roots: the modules to begin with; those that are not below `top` are nobody's concern.
        closed: packages that only list others (registries): who imports one uses nothing by that.
    """
    found: dict[str, str] = {}
    skipped = {str(_package(top, name).relative_to(top)) for name in closed}
    waiting = [path for name in roots for path in _files(top, name)]
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(top))
        if name in found or name in skipped:
            continue
        text = path.read_bytes()
        found[name] = hashlib.sha256(text).hexdigest()[:12]
        waiting += [file for module in _imported(ast.parse(text)) for file in _files(top, module)]
    return dict(sorted(found.items()))


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a file imports; one may be a module, or something in the module before it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(top: Path, name: str) -> list[Path]:
    """Return the files that are run when a dotted name is imported: its packages', and its own."""
    parts = name.split(".")
    paths = [_package(top, ".".join(parts[:length])) for length in range(1, len(parts) + 1)]
    paths += [top.joinpath(*parts[:length]).with_suffix(".py") for length in range(1, len(parts) + 1)]
    return [path for path in paths if path.is_file()]


def _package(top: Path, name: str) -> Path:
    return top.joinpath(*name.split("."), "__init__.py")
