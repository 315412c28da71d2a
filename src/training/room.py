"""Whether what is kept for learning will fit when it is full: told at the start, or refused in one line."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch as th

from components.episode_batch import lay_out
from runners.base_runner import BaseRunner
from utils.errors import UserError
from utils.memory_there import Room, promise


class Kept(NamedTuple):
    """What is kept for learning, by its `kind` (a name in `components.EXPERIENCES`), and the settings of its size."""

    kind: str
    experience: Any
    args: Any
    runner: BaseRunner

    @property
    def record(self) -> int:
        """Bytes that a step takes."""
        return lay_out(self.runner.scheme, self.runner.groups)[1]

    @property
    def full(self) -> int:
        """Bytes that it takes at most, at `t_max` or before."""
        args = self.args
        # Where steps are waited for, episodes of one step would fill the most rows.
        waiting = max(args.batch_size, -(-2 * args.batch_steps // self.runner.max_seq_length)) + args.batch_size_run
        capacity = waiting if self.kind == "fresh" else args.buffer_size
        steps = args.t_max + args.batch_size_run * self.runner.info.episode_limit
        return self.record * self.experience.most_rows(capacity, self.runner.max_seq_length, steps)

    def fitting(self, there: int) -> int:
        """Return the largest `buffer_size` that takes no more than so many bytes; 0 where none would do."""
        rows, length, args = there // self.record, self.runner.max_seq_length, self.args
        if self.kind == "segments":
            size, least = rows * (length - 1) // length, length - 1
        else:
            size, least = rows // length, max(args.batch_size, args.batch_size_run)
        return size if size >= least else 0


def check_room(kept: Kept) -> str:
    """Return a line on what is kept when it is full; raise `UserError` where there is not so much room.

    Main memory that it fits into is promised to it: other runs here count without, until this process withdraws.
    """
    size = kept.args.buffer_size
    holds = {
        "replay": f"replay takes {gigabytes(kept.full)} when its {size} episodes are full",
        "segments": f"replay takes {gigabytes(kept.full)} when its {size} steps are full",
        "fresh": f"the episodes of an update take up to {gigabytes(kept.full)}",
    }[kept.kind] + f" ({kept.record} bytes a step)"
    where, room = _room(kept)
    if room is None:
        return f"{holds}; how much {where} is free cannot be told here"
    others = f" beside {gigabytes(room.promised)} that other runs here are yet to take" if room.promised > 0 else ""
    there = f"{gigabytes(room.there)} of {where} can be counted on{others}"
    if kept.full > room.there:
        raise UserError(f"{holds}, and {there}; take {_instead(kept, room.there)}")
    return f"{holds}; {there}"


def _room(kept: Kept) -> tuple[str, Room | None]:
    """Return the kind of memory that it lies in, and how much of that may be counted on."""
    if kept.args.buffer_device == "disk":
        folder = disk_folder(kept.args)
        there = next(path for path in (folder, *folder.parents) if path.exists())
        return f"the disk of {folder}", Room(shutil.disk_usage(there).free, 0)
    if kept.experience.device.type == "cuda" and kept.kind != "segments":  # which stay in main memory
        return "the GPU's memory", Room(th.cuda.mem_get_info(kept.experience.device)[0], 0)
    return "memory", promise(kept.full)


def _instead(kept: Kept, there: int) -> str:
    """Return the settings that would fit, or help."""
    if kept.kind == "fresh":
        return "a smaller batch_size or batch_steps"
    choices = [f"buffer_size={size}"] if (size := kept.fitting(there)) > 0 else []
    choices.append("buffer_path=<a larger disk>" if kept.args.buffer_device == "disk" else "buffer_device=disk")
    scheme = kept.runner.scheme
    if any(scheme[name]["dtype"].is_floating_point and scheme[name]["dtype"].itemsize > 2 for name in ("obs", "state")):
        choices.append("buffer_dtype=float16, which takes about half")
    return " or ".join(choices)


def disk_folder(args: Any) -> Path:
    """Return the folder that replay on disk lies in."""
    return Path(args.local_results_path if args.buffer_path is None else args.buffer_path).absolute()


def gigabytes(n_bytes: int) -> str:
    """Return a number of bytes in words."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
