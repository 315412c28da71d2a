"""What is to change in a checkout so that MMSA is in it, or no longer is; nothing here writes."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path, PurePosixPath

from plugin.changes import Change
from plugin.hosts import LINES, Host, Line, with_line, without_line
from plugin.method import method_files
from plugin.settings import declarations, host_settings
from utils.errors import UserError

PACKAGE, SETTINGS = "src/mmsa", "src/config/algs/mmsa.yaml"
MANIFEST = f"{PACKAGE}/installed.json"  # the SHA-256 of every file of ours, by its path in the checkout
Digests = "dict[str, list[str]]"  # two for a file while a newer version is being installed: either may be there


def plan_install(root: Path, host: Host) -> list[Change]:
    """Return the changes that bring MMSA, in this version, into a checkout; none where it is there already.

    The list of files comes first, so that whoever finds some of them knows whose they are, and the registries after
    the files, so that nothing refers to one that is missing.
    """
    wanted = {f"{PACKAGE}/{name}": text for name, text in method_files().items()}
    wanted[SETTINGS] = host_settings(host)
    wanted[f"{PACKAGE}/declared.json"] = declarations(wanted[SETTINGS])
    installed = _read_manifest(root)
    if not installed and _files_below(root / PACKAGE):
        raise UserError(f"{root / PACKAGE}: exists and is not this plugin's; move it away and run again")
    now = {path: [_digest(text)] for path, text in wanted.items()}
    meanwhile = {path: sorted({*installed.get(path, []), *now.get(path, [])}) for path in {**installed, **now}}
    changes = [_replacing(root / MANIFEST, _listed(meanwhile))]
    changes += [_change(root, path, wanted.get(path), installed.get(path, [])) for path in sorted(meanwhile)]
    changes += [_replacing(root / path, _with_line(root / path, line)) for path, line in LINES.items()]
    if meanwhile != now:
        changes.append(Change("changed", root / MANIFEST, _listed(now)))
    return [change for change in changes if change is not None]


def plan_uninstall(root: Path) -> list[Change]:
    """Return the changes that take MMSA out of a checkout: registries first, the list of its files last."""
    installed = _read_manifest(root)
    changes = [_without_line(root / path, line) for path, line in LINES.items() if (root / path).exists()]
    changes += [_change(root, path, None, digests) for path, digests in installed.items()]
    if installed:
        changes.append(Change("gone", root / MANIFEST, None))
    found = [change for change in changes if change is not None]
    if not found:
        raise UserError(f"{root}: MMSA is not installed here")
    return found


def _listed(digests: Digests) -> bytes:
    return (json.dumps(digests, indent=1, sort_keys=True) + "\n").encode()


def _read_manifest(root: Path) -> Digests:
    path = root / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for name in manifest:
            if (name != SETTINGS and not name.startswith(f"{PACKAGE}/")) or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name} is no file of this plugin")
        return {name: [str(digest) for digest in digests] for name, digests in manifest.items()}
    except (OSError, ValueError, AttributeError, TypeError) as why:
        raise UserError(f"{path}: cannot be read ({why}); get it back, or remove {PACKAGE} by hand") from why


def _change(root: Path, name: str, new: bytes | None, installed: list[str]) -> Change | None:
    """Return the change to a file of ours; `UserError` when it holds what this plugin did not write."""
    path = root / name
    if not path.exists():
        return None if new is None else Change("new", path, new)
    there = path.read_bytes()
    if there == new:
        return None
    if not installed:
        raise UserError(f"{path}: exists and is not this plugin's; move it away and run again")
    if _digest(there) in installed:
        return Change("gone", path, None) if new is None else Change("newer", path, new)
    if new is not None and _digest(new) in installed:
        return None  # edited there, and nothing newer to bring
    raise UserError(f"{path}: was edited after it was installed; move it away and run again")


def _replacing(path: Path, new: bytes) -> Change | None:
    if not path.exists():
        return Change("new", path, new)
    return None if path.read_bytes() == new else Change("changed", path, new)


def _with_line(path: Path, line: Line) -> bytes:
    text = without_line(path.read_bytes(), line.former)
    return text if line.text in text.splitlines() else with_line(text, line.text)


def _without_line(path: Path, line: Line) -> Change | None:
    rest = without_line(without_line(path.read_bytes(), line.text), line.former)
    for number, left in enumerate(rest.splitlines(), start=1):
        if left.lstrip().startswith((b"from mmsa", b"import mmsa")) or b'import_module("mmsa.' in left:
            raise UserError(f"{path}:{number}: imports mmsa in a line that is not this plugin's; remove it first")
    return _replacing(path, rest)


def _files_below(folder: Path) -> bool:
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()
