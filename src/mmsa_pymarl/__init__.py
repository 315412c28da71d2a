"""MMSA for PyMARL as a library: train, load what was trained, add environments and learners from outside.

The rest of `src/` has plain names (`training`, `learners`, `utils`, …), as PyMARL's code has, and as `python
src/main.py` needs. Importing this package puts the folder that they lie in first on `sys.path`; docs/install.md says
what follows from that. Nothing heavy is imported before it is asked for.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsa_pymarl.library import (
        Agents,
        load_agents,
        load_runs,
        make_env,
        register_env,
        register_learner,
        resume,
        train,
    )

__all__ = [
    "Agents", "load_agents", "load_runs", "make_env", "register_env", "register_learner", "resume", "train",
]  # fmt: skip

_HERE = Path(__file__).resolve().parent
SRC = _HERE / "src" if (_HERE / "src").is_dir() else _HERE.parent  # in a wheel; in a checkout


def _find_rooms() -> None:
    """Put the rooms on the path; raise ImportError where a module of somebody else's has the name of one."""
    for path in SRC.glob("*/__init__.py"):
        name = path.parent.name
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and (file is None or not Path(file).resolve().is_relative_to(SRC)):
            raise ImportError(
                f"mmsa_pymarl has a package {name!r}, and another module of this name was imported before it "
                f"({file}): rename that one"
            )
    if str(SRC) not in sys.path:
        sys.path.insert(0, str(SRC))


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mmsa_pymarl.library"), name)


_find_rooms()
