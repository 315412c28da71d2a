"""What a new run takes of a checkpoint of another task or algorithm (`checkpoint_transfer`): every part that fits.

A part is a layer: tensors that stand under one name. It is taken whole, where the checkpoint has all of its tensors in
the shapes that they have here, or begins anew. So do the optimisers, and the run counts its steps from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch as th
from torch import Tensor

from utils.errors import UserError

SHOWN = 3  # reasons in the line that refuses


@dataclass(frozen=True)
class Transfer:
    """What was taken of a checkpoint, by the names of parts, and what was not, with the reason."""

    checkpoint: str
    taken: tuple[str, ...]
    not_taken: Mapping[str, str]

    def lines(self) -> list[str]:
        """Return what is printed of it."""
        left = [f"{name} ({why})" for name, why in self.not_taken.items()]
        return [
            f"taken of {self.checkpoint}: {', '.join(self.taken)}",
            f"not taken, so these begin anew: {', '.join(left) or 'nothing'}",
        ]

    def told(self) -> dict[str, Any]:
        """Return what the archive's `info.json` says of it."""
        return {"checkpoint": self.checkpoint, "taken": list(self.taken), "not_taken": dict(self.not_taken)}


@th.no_grad()
def take_what_fits(learner: Any, path: Path, tensors: Mapping[str, Tensor]) -> Transfer:
    """Copy into a learner's networks, and its targets, every part of a checkpoint at `path` that fits.

    Raises `UserError`, and changes nothing, where none does.
    """
    taken, not_taken = [], {}
    for part, own in _parts(learner).items():
        if why := _misfit(own, tensors):
            not_taken[part] = why
        else:
            taken.append(part)
    if not taken:
        reasons = ", ".join(f"{part} ({why})" for part, why in list(not_taken.items())[:SHOWN])
        raise UserError(f"checkpoint_transfer=True: nothing of {path} fits here: {reasons}; take another checkpoint")
    for part in taken:
        for name, tensor in _parts(learner)[part].items():
            tensor.copy_(tensors[name])
    learner.update_targets()
    learner.note_taken(taken)
    return Transfer(str(path), tuple(taken), not_taken)


def _parts(learner: Any) -> dict[str, dict[str, Tensor]]:
    """Return the learner's parts: by name their tensors, each by the name that it has in a checkpoint."""
    parts: dict[str, dict[str, Tensor]] = {}
    for kind, module in learner.trained.items():
        for key, tensor in module.state_dict().items():
            part = ".".join([kind, *key.split(".")[:-1]])
            parts.setdefault(part, {})[f"trained.{kind}.{key}"] = tensor
    return parts


def _misfit(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """Return why a part is not taken, "" where it fits."""
    for name, tensor in own.items():
        if name not in tensors:
            return "not there"
        if tensors[name].shape != tensor.shape:
            return " there, ".join("x".join(map(str, each.shape)) for each in (tensors[name], tensor)) + " here"
    return ""
