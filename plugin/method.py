"""The method's files as a host gets them: ours, made to run on older Python and Torch too."""

from __future__ import annotations

import ast
from pathlib import Path

from plugin.older import made_older

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
OWN = ("__init__.py", "adapter.py", "declared.py", "older.py")  # files of the plugin alone
ROOMS = ("components", "controllers", "learners", "modules", "settings", "utils")
# What the registries and the plugin's own files name; what these import comes along.
ROOTS = (
    "controllers.agent_inputs", "controllers.sale_mac", "learners.mmsa_learner", "modules.agents.sale_rnn_agent",
    "settings.schema",
)  # fmt: skip
REPLACED = {"controllers.basic_mac": "adapter"}  # modules of ours whose work the adapter does there


def method_files() -> dict[str, bytes]:
    """Return the files of the host's folder `mmsa`, by their path in it."""
    files = {name: (REPOSITORY / "plugin" / "mmsa" / name).read_bytes() for name in OWN}
    files["LICENSE"] = (REPOSITORY / "LICENSE").read_bytes()
    waiting = list(ROOTS)
    while waiting:
        path = _path(waiting.pop())
        name = path.relative_to(SOURCE).as_posix()
        if name not in files:
            text = path.read_text(encoding="utf-8")
            imported = _our_imports(text)
            waiting += sorted(imported - REPLACED.keys())
            files[name] = made_older(text, {module: REPLACED.get(module, module) for module in imported}).encode()
    return files


def _path(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _our_imports(text: str) -> set[str]:
    """Return the modules of ours that a file imports from."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in nodes if node.module is not None and node.module.split(".")[0] in ROOMS}
