"""Replay on disk: what came since the last checkpoint is added as one file, nothing is written twice.

A file `e_<first>_<end>.safetensors` holds the episodes with the numbers first … end-1, as replay keeps them. Numbers
count the episodes that a run has ever put into replay.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch as th
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from utils.errors import UserError
from utils.files import make_folder, write_whole

_NAME = re.compile(r"e_(\d+)_(\d+)\.safetensors")


def add_episodes(folder: Path, first: int, episodes: Sequence[Tensor]) -> None:
    """Write episodes (rows, record) uint8, numbered from `first` on; none writes nothing."""
    if not episodes:
        return
    make_folder(folder)
    lengths = th.tensor([len(episode) for episode in episodes])
    tensors = {"rows": th.cat([episode.cpu() for episode in episodes]), "lengths": lengths}
    write_whole(folder / f"e_{first}_{first + len(episodes)}.safetensors", partial(save_file, tensors))


def forget_episodes(folder: Path, below: int) -> None:
    """Delete the files whose episodes all have numbers below `below`."""
    for path, _, end in _files(folder):
        if end <= below:
            path.unlink()


def cut_episodes(folder: Path, end: int) -> None:
    """Delete the files that begin at `end` or later: they were written after the checkpoint that says `end`.

    One that only reaches beyond it stays: nothing in it is lost, and what is written anew has another name.
    """
    for path, first, _ in _files(folder):
        if first >= end:
            path.unlink()


def read_episodes(folder: Path, first: int, end: int) -> Iterator[Tensor]:
    """Yield the episodes numbered first … end-1, one file's at a time; `UserError` where some are missing or damaged.

    Where several files hold an episode, the last of them counts: it was written last.
    """
    whose = {number: path for path, start, stop in _files(folder) for number in range(start, stop)}
    opened, parts = None, ()
    for number in range(first, end):
        if number not in whose:
            raise _unreadable(folder, f"episode {number} is missing")
        if opened != whose[number]:
            opened = whose[number]
            parts = _parts(opened, folder)
        yield parts[number - int(_NAME.fullmatch(opened.name)[1])].clone()


def _parts(path: Path, folder: Path) -> Sequence[Tensor]:
    """Return the episodes in a file."""
    start, stop = map(int, _NAME.fullmatch(path.name).groups())
    try:
        tensors = load_file(path)
        parts = tensors["rows"].split(tensors["lengths"].tolist())
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError) as why:
        raise _unreadable(folder, f"{path.name}: {str(why).splitlines()[0]}") from why
    if len(parts) != stop - start:
        raise _unreadable(folder, f"{path.name} holds {len(parts)} episodes")
    return parts


def _unreadable(folder: Path, why: str) -> UserError:
    return UserError(
        f"the replay in {folder} cannot be read ({why}), so the run cannot go on exactly; start a new one from its "
        "weights: with checkpoint_path=..."
    )


def _files(folder: Path) -> list[tuple[Path, int, int]]:
    """Return the files with their first and end numbers, in order."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("e_*"))
    return sorted(((path, int(m[1]), int(m[2])) for path, m in found if m), key=lambda item: item[1])
