"""The method's files as a host gets them: ours, with `mmsa.` before their imports of each other."""

import ast
from pathlib import Path

from utils.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
ROOMS = ("components", "controllers", "learners", "modules")
# What the registries and the adapter name; what these import comes along.
ROOTS = ("controllers.agent_inputs", "controllers.sale_mac", "learners.mmsa_learner", "modules.agents.sale_rnn_agent")
REPLACED = {"controllers.basic_mac": "adapter"}  # modules of ours whose work the adapter does there


def method_files() -> dict[str, bytes]:
    """Return the files of the host's folder `mmsa`, by their path in it."""
    files = {name: (REPOSITORY / "plugin" / "mmsa" / name).read_bytes() for name in ("__init__.py", "adapter.py")}
    files["LICENSE"] = (REPOSITORY / "LICENSE").read_bytes()
    waiting = list(ROOTS)
    while waiting:
        path = _path(waiting.pop())
        name = path.relative_to(SOURCE).as_posix()
        if name not in files:
            text = path.read_text(encoding="utf-8")
            imported = _our_imports(text)
            waiting += [module for module in imported.values() if module not in REPLACED]
            files[name] = _rewritten(text, imported).encode()
    return files


def _path(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _our_imports(text: str) -> dict[int, str]:
    """Return the modules of ours that a file imports from, by the number of the line that says so."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] in ROOMS:
            found[node.lineno] = node.module
    return found


def _rewritten(text: str, imported: dict[int, str]) -> str:
    lines = text.splitlines(keepends=True)
    for number, module in imported.items():
        before, after = f"from {module} import", f"from mmsa.{REPLACED.get(module, module)} import"
        if before not in lines[number - 1]:
            raise UserError(f"an import of {module} cannot be rewritten: write it as `{before} …`")
        lines[number - 1] = lines[number - 1].replace(before, after)
    return "".join(lines)
