"""Checkpoints: a folder `t_<steps>` with tensors (safetensors) and numbers (JSON). Loading one runs no code."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from utils.errors import UserError
from utils.files import flush, make_folder

TENSORS, NUMBERS = "tensors.safetensors", "numbers.json"
_OTHER = "take another one, or remove it to resume from the one before"
CHECKPOINTS = "checkpoints"  # where a run's folder has them


def save_checkpoint(
    folder: Path, t_env: int, tensors: dict[str, Tensor], numbers: dict[str, Any], texts: dict[str, str]
) -> Path:
    """Write a checkpoint below `folder` and return where; it appears whole or not at all. `texts` are further files.

    The caller holds the run's folder, which is there. One of the same step is replaced, and lost at no moment.
    """
    target, partial = folder / f"t_{t_env}", folder / f".t_{t_env}.partial"
    make_folder(folder)
    tidy(folder)
    partial.mkdir()
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / TENSORS)
        (partial / NUMBERS).write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
        for name, text in texts.items():
            (partial / name).write_text(text)
        for path in (*partial.iterdir(), partial):
            flush(path)
    except BaseException:
        shutil.rmtree(partial)  # a full disk needs the room
        raise
    replaced = folder / f".t_{t_env}.replaced"
    if target.exists():
        os.replace(target, replaced)
    os.replace(partial, target)
    flush(folder)
    if replaced.exists():
        shutil.rmtree(replaced)
    return target


def tidy(folder: Path) -> None:
    """Remove what a run that was killed has left half done, but for a checkpoint that was just to be replaced."""
    for replaced in folder.glob(".t_*.replaced"):
        target = folder / replaced.name.removeprefix(".").removesuffix(".replaced")
        if not target.exists():
            os.replace(replaced, target)
    for unfinished in folder.glob(".t_*"):
        shutil.rmtree(unfinished)


def forget_checkpoints(folder: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints in a folder of checkpoints."""
    for path in checkpoints_in(folder)[:-keep]:
        _remove(path)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, which first loses its name: one that is half removed must not pass for one."""
    nameless = checkpoint.with_name(f".{checkpoint.name}.removed")
    os.replace(checkpoint, nameless)
    shutil.rmtree(nameless)


def find_checkpoint(path: str) -> Path:
    """Return the checkpoint at `path`, or the last one of a run's folder; raise `UserError` when there is none."""
    if (Path(path) / NUMBERS).is_file():
        return Path(path)
    found = last_checkpoint(Path(path))
    if found is None:
        raise UserError(f"checkpoint_path={path}: no checkpoint here; give a run's folder or its checkpoints/t_<steps>")
    return found


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint in a folder of checkpoints or of a run, or None."""
    return max([*checkpoints_in(folder), *checkpoints_in(folder / CHECKPOINTS)], key=_steps, default=None)


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder of checkpoints, the last one last."""
    found = [f for f in folder.glob("t_*") if f.name[2:].isdecimal() and (f / NUMBERS).is_file()]
    return sorted(found, key=_steps)


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.name[2:])


def run_folder_of(checkpoint: Path) -> Path:
    """Return the folder of the run that a checkpoint lies in."""
    return checkpoint.resolve().parents[1]


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and numbers of a checkpoint; raise `UserError` when it cannot be read."""
    try:
        tensors, numbers = load_file(path / TENSORS), json.loads((path / NUMBERS).read_text())
    except (OSError, SafetensorError, ValueError, RecursionError) as why:  # no UTF-8, no JSON
        reason = str(why).splitlines()[0]
        raise UserError(f"the checkpoint {path} cannot be read ({reason}); {_OTHER}") from why
    if not isinstance(numbers, dict):
        raise UserError(f"the checkpoint {path} cannot be read ({NUMBERS} holds no names); {_OTHER}")
    return tensors, numbers
