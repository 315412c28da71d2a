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

TENSORS, NUMBERS = "tensors.safetensors", "numbers.json"
CHECKPOINTS = "checkpoints"  # where a run's folder has them


def save_checkpoint(
    folder: Path, t_env: int, tensors: dict[str, Tensor], numbers: dict[str, Any], texts: dict[str, str]
) -> Path:
    """Write a checkpoint below `folder` and return where; it appears whole or not at all. `texts` are further files."""
    target = folder / f"t_{t_env}"
    partial = folder / f".t_{t_env}.partial"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / TENSORS)
    (partial / NUMBERS).write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    for name, text in texts.items():
        (partial / name).write_text(text)
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)
    return target


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
    found = [*folder.glob("t_*"), *folder.glob(f"{CHECKPOINTS}/t_*")]
    found = [f for f in found if f.name[2:].isdigit() and (f / NUMBERS).is_file()]
    return max(found, key=lambda f: int(f.name[2:]), default=None)


def run_folder_of(checkpoint: Path) -> Path:
    """Return the folder of the run that a checkpoint lies in."""
    return checkpoint.resolve().parents[1]


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and numbers of a checkpoint; raise `UserError` when it cannot be read."""
    try:
        tensors, numbers = load_file(path / TENSORS), json.loads((path / NUMBERS).read_text())
    except (OSError, SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as why:
        reason = str(why).splitlines()[0]
        raise UserError(f"the checkpoint {path} cannot be read ({reason}); take another one") from why
    if not isinstance(numbers, dict):
        raise UserError(f"the checkpoint {path} cannot be read ({NUMBERS} holds no names); take another one")
    return tensors, numbers
