"""All environments in this process, stepped in turn: the quickest way for cheap environments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs import make_env_from_path
from envs.serving import Outcome, View, outcome_of, view_of
from runners.base_runner import BaseRunner


class VectorRunner(BaseRunner):
    """`batch_size` environments, one policy call per step for all of them."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any) -> None:
        self.envs = [make_env_from_path(env_path, env_args) for _ in range(batch_size)]
        super().__init__(self.envs[0].info, batch_size, clock)

    def _reset(self, seeds: Sequence[int]) -> list[View]:
        for env, seed in zip(self.envs, seeds, strict=False):
            env.reset(seed)
        return [view_of(env) for env in self.envs[: len(seeds)]]

    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        return [outcome_of(self.envs[slot], action) for slot, action in zip(slots, actions, strict=True)]

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()
