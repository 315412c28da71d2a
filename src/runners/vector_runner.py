"""All environments in this process, stepped together: the quickest way for cheap environments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs import EnvBatch, make_batch_from_path
from envs.multiagentenv import EpisodeLostError, Outcome, View
from runners.base_runner import BaseRunner, Limits


class VectorRunner(BaseRunner):
    """`batch_size` environments as one batch, one policy call per step for all of them."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any, limits: Limits) -> None:
        self.batch = self._make(env_path, env_args, batch_size)
        super().__init__(self.batch.info, batch_size, clock, limits)

    def _make(self, env_path: str, env_args: dict[str, Any], batch_size: int) -> EnvBatch:
        return make_batch_from_path(env_path, env_args, batch_size)

    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        return self.batch.reset(slots, seeds)

    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        return self.batch.step(slots, actions)

    def _env_stats(self) -> dict[str, float]:
        return self.batch.get_stats()

    def save_replays(self, folder: Path) -> None:
        """Ask the batch for its replays."""
        self.batch.save_replays(folder)

    def close(self) -> None:
        """Close every environment."""
        self.batch.close()
