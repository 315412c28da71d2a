"""An archived run, opened again for a look: its settings, its networks as a checkpoint has them.

The archive is data: its settings pass the same checks as a command line, and reading it runs no code.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from run import Run, build
from utils.checkpoint import find_checkpoint
from utils.config import resolve
from utils.errors import UserError

# Changes for a look: one environment in this process, on the CPU, whatever the run was made with.
ONE_HERE = {"device": "cpu", "cuda_graph": "false", "runner": "episode", "batch_size_run": "1"}


def reopen(path: str, config_dir: Path, changes: Mapping[str, str]) -> Run:
    """Return the run that wrote a checkpoint, with greedy evaluation's streams; the caller closes it.

    Args:
        path: a run's folder (its last checkpoint is taken) or a checkpoint in it.
        config_dir: where the settings are declared.
        changes: settings to differ from the archive's, as text; `device`, for one.

    Raises `UserError` where the archive or the checkpoint cannot be read.
    """
    checkpoint = find_checkpoint(path)
    config = _read_config(checkpoint.resolve().parents[1] / "config.json")
    settings = _texts(config) | {"checkpoint_path": str(checkpoint), "evaluate": "true"} | changes
    return build(resolve(config["name"], config["env_config"], settings, config_dir))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as why:
        raise UserError(
            f"{path}: the run's settings cannot be read ({why}); leave checkpoints in their archive"
        ) from why
    if not isinstance(config, dict) or not all(isinstance(config.get(k), str) for k in ("name", "env_config")):
        raise UserError(f"{path} is not a config.json of this version: it does not name the two configs of the run")
    return config


def _texts(config: Mapping[str, Any], group: str = "") -> dict[str, str]:
    """Return settings by dotted key, as a command line would give them."""
    texts: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            texts |= _texts(value, f"{group}{key}.")
        elif group or key not in ("name", "env_config", "env"):
            texts[group + key] = _text(value)
    return texts


def _text(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
