"""Which framework a checkout is, told by its registries, and the lines that MMSA adds to them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

AGENTS, CONTROLLERS, LEARNERS = (f"src/{room}/__init__.py" for room in ("modules/agents", "controllers", "learners"))


@dataclass(frozen=True)
class Line:
    """One line of a registry: `name` becomes what makes an `imported` of `module`, which is imported by then only."""

    name: str
    module: str
    imported: str

    @property
    def text(self) -> bytes:
        """The line without its end. The host's own methods run whatever becomes of ours: nothing is imported yet."""
        make = f'lambda *given: __import__("importlib").import_module("mmsa.{self.module}").{self.imported}(*given)'
        return f'REGISTRY["{self.name}"] = {make}  # MMSA, see src/mmsa'.encode()

    @property
    def former(self) -> bytes:
        """What the first versions of the plugin wrote, which a newer one replaces."""
        entry = f'REGISTRY["{self.name}"] = {self.imported}'
        return f"from mmsa.{self.module} import {self.imported}; {entry}  # MMSA, see src/mmsa".encode()


LINES = {
    AGENTS: Line("sale_rnn", "modules.agents.sale_rnn_agent", "SALERNNAgent"),
    CONTROLLERS: Line("sale_mac", "controllers.sale_mac", "SaleMAC"),
    LEARNERS: Line("mmsa_learner", "adapter", "MMSALearner"),
}


@dataclass(frozen=True)
class Host:
    """A framework: entries of its registries that the other lacks, its lines for mmsa.yaml, its names for settings."""

    name: str
    known_by: Mapping[str, str]
    settings: tuple[str, ...]
    renamed: Mapping[str, str]
    example: str

    def __str__(self) -> str:
        return self.name


HOSTS = (
    Host(
        "PyMARL2",
        known_by={AGENTS: "n_rnn", CONTROLLERS: "n_mac"},
        settings=(),
        renamed={},
        example="python src/main.py --config=mmsa --env-config=one_step_matrix_game",
    ),
    Host(
        "EPyMARL",
        known_by={AGENTS: "rnn_ns", CONTROLLERS: "non_shared_mac"},
        settings=("evaluation_epsilon: 0.0",),
        renamed={"rnn_hidden_dim": "hidden_dim"},
        example="python src/main.py --config=mmsa --env-config=gymma with "
        "env_args.key=lbforaging:Foraging-2s-10x10-3p-3f-v3 env_args.time_limit=50",
    ),
)


def recognise(root: Path, named: str | None = None) -> Host:
    """Return which framework the checkout at `root` is, or check that it can be the one `named`.

    Raises `UserError` for any other, for a fork that has the entries of both and no name, and without a registry.
    """
    entries = {path: registry_entries(root, path) for path in LINES}
    found = [host for host in HOSTS if all(name in entries[path] for path, name in host.known_by.items())]
    if len(found) > 1 and named is not None:
        found = [host for host in found if host.name == named]
    wanted = "; ".join(f"{host} by {' and '.join(host.known_by.values())}" for host in HOSTS)
    if not found:
        raise UserError(f"{root}: neither PyMARL2 nor EPyMARL, which are known by their registries ({wanted})")
    if len(found) > 1:
        names = " or ".join(f"--host {host}" for host in found)
        raise UserError(f"{root}: has the registries' entries of both ({wanted}); say whose runners it has, {names}")
    if named not in (None, found[0].name):
        raise UserError(f"{root}: --host {named}, but its registries are those of {found[0]}; leave --host out")
    for path, line in LINES.items():
        there = (root / path).read_bytes().splitlines()
        if line.name in entries[path] and line.text not in there and line.former not in there:
            raise UserError(f"{path}: has an entry {line.name} that is not this plugin's; rename it and run again")
    return found[0]


def registry_entries(root: Path, path: str) -> set[str]:
    """Return the names in the `REGISTRY` of a file of the checkout."""
    try:
        tree = ast.parse((root / path).read_bytes())
    except OSError as why:
        raise UserError(f"{root}: no registry {path} ({why.strerror}); give the root of a checkout") from why
    except (SyntaxError, ValueError) as why:
        raise UserError(f"{root / path}: cannot be read as Python ({why}); mend it and run again") from why
    names, there = set(), False
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id == "REGISTRY":
                    there = True
                    names.update(_names(getattr(node.value, "keys", [])))
                elif isinstance(target, ast.Subscript) and getattr(target.value, "id", None) == "REGISTRY":
                    names.update(_names([target.slice]))
    if not there:
        raise UserError(f"{root / path}: holds no REGISTRY; is this a checkout of PyMARL2 or EPyMARL?")
    return names


def _names(nodes: Iterable[ast.AST | None]) -> set[str]:
    """Return those that are texts. Python 3.8 wraps the subscript of an assignment in a node of its own."""
    inner = [node.value if type(node).__name__ == "Index" else node for node in nodes]
    return {node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def with_line(text: bytes, line: bytes) -> bytes:
    """Return a file with `line` as its last one: ended as the others are, or not at all if the last one was not."""
    end = b"\r\n" if b"\r\n" in text else b"\n"
    return text + line + end if text.endswith(b"\n") or not text else text + end + line


def without_line(text: bytes, line: bytes) -> bytes:
    """Return a file without `line`: what `with_line` was given, also after further lines were added."""
    lines = text.splitlines(keepends=True)
    if lines[1:] and lines[-1] == line:  # the file's last line was not ended before it either
        lines[-2] = lines[-2].rstrip(b"\r\n")
    return b"".join(part for part in lines if part.rstrip(b"\r\n") != line)
