"""An archived run, opened again for a look: its settings, its networks as a checkpoint has them.

The archive is data: its settings pass the same checks as a command line, and reading it runs no code.
"""

from collections.abc import Mapping
from pathlib import Path

from envs import check_archived
from settings import archived_settings
from training.assembly import Run, build
from training.checkpoint import find_checkpoint, run_folder_of

# Changes for a look: one environment in this process, on the CPU, whatever the run was made with.
ONE_HERE = {"device": "cpu", "cuda_graph": "false", "acting_graph": "false", "runner": "episode", "batch_size_run": "1"}


def reopen(path: str, config_dir: Path, changes: Mapping[str, str]) -> Run:
    """Return the run that wrote a checkpoint, with greedy evaluation's streams; the caller closes it.

    Args:
        path: a run's folder (its last checkpoint is taken) or a checkpoint in it.
        config_dir: where the settings are declared.
        changes: settings to differ from the archive's, as text; `device`, for one.

    Raises `UserError` where the archive or the checkpoint cannot be read.
    """
    checkpoint = find_checkpoint(path)
    changes = {"checkpoint_path": str(checkpoint), "checkpoint_transfer": "false", "evaluate": "true"} | changes
    settings = archived_settings(run_folder_of(checkpoint), changes, config_dir)
    check_archived(settings["env"], settings["env_args"])
    return build(settings)
