"""What stops older PyMARLs on a current machine, and one line for another that gets them past it.

A mended line says what it was (`import collections.abc  # mended mapping: import collections`), so that it can be got
back to the byte whatever the file became since. docs/plugin.md lists the obstacles with their last lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from plugin.changes import Change


class Edit(NamedTuple):
    """In the files below `src/` that `glob` names, whatever line is `old`, however far indented, becomes `new`."""

    glob: str
    old: str
    new: str


class Mending(NamedTuple):
    """An obstacle: its name, whom it stops, and what mends it."""

    name: str
    needed: str
    edits: tuple[Edit, ...]


def _when_asked_for(name: str, module: str) -> str:
    make = f'__import__("importlib").import_module("{module}").{name}(*given, **named)'
    return f"{name} = lambda *given, **named: {make}"


def _later(registry: str, module: str, name: str) -> Edit:
    """Return the edit of a package's `from .module import name`, so that it imports when it is asked for."""
    later = _when_asked_for(name, f"{registry.replace('/', '.')}.{module}")
    return Edit(f"{registry}/__init__.py", rf"from \.{module} import {name}", later)


SMAC = _when_asked_for("StarCraft2Env", "smac.env")
LOGGED = 'logger.log_stat("episode", 0, runner.t_env); logger.print_recent_stats()'
TENSORBOARD = (
    "from torch.utils.tensorboard import SummaryWriter; configure = lambda folder: None; "
    "log_value = SummaryWriter(directory_name).add_scalar"
)
MENDINGS = (
    Mending(
        "mapping",
        "on Python 3.10 or later, which has no collections.Mapping",
        (
            Edit("main.py", r"import collections", "import collections.abc"),
            Edit("main.py", r"(.*)collections\.Mapping(.*)", r"\1collections.abc.Mapping\2"),
        ),
    ),
    Mending(
        "yaml",
        "with PyYAML 6 or later, whose load() wants a loader",
        (Edit("main.py", r"(.*)yaml\.load\((\w+)\)", r"\1yaml.safe_load(\2)"),),
    ),
    Mending(
        "smac",
        "to train on anything else than StarCraft II without SMAC",
        (
            Edit("run/*.py", r"from smac\.env import StarCraft2Env", SMAC),
            Edit(
                "envs/__init__.py",
                r"from smac\.env import MultiAgentEnv, StarCraft2Env",
                f"from .multiagentenv import MultiAgentEnv; {SMAC}",
            ),
            _later("envs", "starcraft", "StarCraft2Env"),
        ),
    ),
    Mending(
        "smaclite",
        "to train on anything else than smaclite without it",
        (_later("envs", "smaclite_wrapper", "SMACliteWrapper"),),
    ),
    Mending("pygame", "without pygame", (Edit("envs/stag_hunt/stag_hunt.py", r"import pygame", "pygame = None"),)),
    Mending(
        "matplotlib",
        "without matplotlib",
        (Edit("components/action_selectors.py", r"from matplotlib\.pyplot import xcorr", "pass"),),
    ),
    Mending(
        "gym",
        "without gym, or with one later than 0.10",
        (_later("envs", "particle", "Particle"), _later("controllers", "cqmix_controller", "CQMixMAC")),
    ),
    Mending(
        "pac",
        "to train by anything else than PAC without einops and torch_scatter",
        (
            _later("modules/critics", "pac_ac_ns", "PACCriticNS"),
            _later("modules/critics", "pac_dcg_ns", "DCGCriticNS"),
            _later("learners", "actor_critic_pac_learner", "PACActorCriticLearner"),
            _later("learners", "actor_critic_pac_dcg_learner", "PACDCGLearner"),
        ),
    ),
    Mending(
        "tensorboard",
        "for use_tensorboard=True with protobuf 4 or later",
        (Edit("utils/logging.py", r"from tensorboard_logger import configure, log_value", TENSORBOARD),),
    ),
    Mending(
        "exit",
        "for a run's status, and its last ten seconds' figures, in sacred",
        (Edit("run/*.py", r"os\._exit\(os\.EX_OK\)", "pass"),),
    ),
    Mending(
        "evaluate",
        "for evaluate=True to print what it found",
        (Edit("run/*.py", r"evaluate_sequential\(args, runner\)", f"evaluate_sequential(args, runner); {LOGGED}"),),
    ),
)
NAMES = tuple(mending.name for mending in MENDINGS)
MENDED = re.compile(rb"^.*  # mended (?P<name>\w+): (?P<was>.*)$")


def plan_mending(root: Path, mending: Mending) -> list[Change]:
    """Return the changes to a fork's files that a mending needs: none where nothing matches."""
    texts: dict[Path, bytes] = {}
    for edit in mending.edits:
        for path in sorted((root / "src").glob(edit.glob)):
            texts[path] = _mended(texts.get(path, path.read_bytes()), mending.name, edit)
    return [Change("mended", path, text) for path, text in texts.items() if text != path.read_bytes()]


def plan_undoing(root: Path, names: Iterable[str]) -> list[Change]:
    """Return the changes that bring the lines of some mendings back."""
    wanted = {name.encode() for name in names}
    globs = {edit.glob for mending in MENDINGS for edit in mending.edits}
    changes = []
    for path in sorted({path for glob in globs for path in (root / "src").glob(glob)}):
        text = path.read_bytes()
        new = _by_line(text, lambda line: _was(line, wanted))
        if new != text:
            changes.append(Change("undone", path, new))
    return changes


def _mended(text: bytes, name: str, edit: Edit) -> bytes:
    pattern = re.compile(edit.old.encode())

    def line_mended(line: bytes) -> bytes:
        code = line.strip()
        if not pattern.fullmatch(code) or MENDED.match(line):
            return line
        indent = line[: len(line) - len(line.lstrip())]
        return indent + pattern.sub(edit.new.encode(), code) + f"  # mended {name}: ".encode() + line

    return _by_line(text, line_mended)


def _was(line: bytes, wanted: set[bytes]) -> bytes:
    match = MENDED.match(line)
    return match["was"] if match is not None and match["name"] in wanted else line


def _by_line(text: bytes, change: Callable[[bytes], bytes]) -> bytes:
    parts = re.split(rb"(\r?\n)", text)
    return b"".join(part if index % 2 else change(part) for index, part in enumerate(parts))
