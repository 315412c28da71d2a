"""What is kept of an update that met numbers that are not finite, so that it can be looked into and repeated."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from learners.not_finite import NotFiniteError, quantities
from training.assembly import Run
from training.checkpoint import last_checkpoint
from utils.errors import RunFailedError
from utils.files import write_whole

FOLDER = "not_finite"  # below the run's
DIVERGED = "diverged"  # what `info.json` calls what `where_it_diverged` returns


def where_it_diverged(run: Run, bad: NotFiniteError) -> dict[str, Any]:
    """Return what `info.json` says of the update that ended a run: reports count such runs, and draw none."""
    return {"update": bad.update, "t_env": run.t_env, "not_finite": bad.names}


def failed_update(run: Run, folder: Path, bad: NotFiniteError) -> RunFailedError:
    """Write the batch, the offending tensor, networks and optimiser into the run's folder; return what to tell.

    The file is `not_finite/t_<steps>.safetensors`: `batch.<quantity>` (B, T+1, …), `offending`, and a checkpoint's
    tensors; its metadata names the update, `t_env`, and all tensors that are not finite.
    """
    path = folder / FOLDER / f"t_{run.t_env}.safetensors"
    tensors = {"offending": bad.tensor} | run.learner.state_tensors()
    if bad.batch is not None:
        tensors |= quantities(bad.batch)
    said = {name: json.dumps(value) for name, value in where_it_diverged(run, bad).items()}
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, lambda partial: save_file(_plain(tensors), partial, metadata=said))
        where = f"{path} has its batch and networks"
    except (OSError, SafetensorError) as why:
        where = f"its batch and networks could not be written ({why})"
    more = f" (and {len(bad.names) - 1} tensors more)" if len(bad.names) > 1 else ""
    kept = last_checkpoint(folder)
    return RunFailedError(
        f"update {bad.update} at t_env {run.t_env} met NaN or infinity in {bad.names[0]}{more} and was not taken; "
        f"{where}, "
        + (f"{kept} is the last good checkpoint" if kept else "there is no checkpoint yet")
        + "; a smaller lr or grad_norm_clip may help"
    )


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
