"""Rows of bytes on disk, mapped into memory: the system keeps of them in memory what it has room for.

They are scratch: their files lose their names as soon as they are open, so nothing is left however the process ends.
What a run goes on from is written beside its checkpoints, as with any other replay.
"""

import os
import tempfile
from pathlib import Path

import torch as th
from torch import Tensor

CHUNK = 2**28  # bytes of one file; few enough files that the process keeps room for others
ALIGNED = 64  # bytes; any dtype can be viewed at such a place


class DiskRows:
    """Takes tensors of bytes into files below `folder`. A file's room is free again when its last tensor is gone."""

    def __init__(self, folder: Path, chunk: int = CHUNK) -> None:
        self.folder, self.chunk = folder, chunk
        self._open = th.empty(0, dtype=th.uint8)
        self._used = 0

    def keep(self, rows: Tensor) -> Tensor:
        """Return a copy of ``rows (n, record)`` uint8 that lies on the disk; `OSError` where that has no room."""
        taken = -(-rows.numel() // ALIGNED) * ALIGNED
        if self._used + taken > len(self._open):
            self._open, self._used = self._new_file(max(taken, self.chunk)), 0
        place = self._open[self._used : self._used + rows.numel()].view(rows.shape)
        self._used += taken
        return place.copy_(rows)

    def _new_file(self, n_bytes: int) -> Tensor:
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".replay-", dir=self.folder)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, n_bytes)  # a disk that fills up later would end the process
            return th.from_file(name, shared=True, size=n_bytes, dtype=th.uint8)
        finally:
            os.close(descriptor)
            os.unlink(name)
