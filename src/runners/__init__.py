"""Runners by name: how environments are stepped. All of them play the same episodes for the same seeds."""

from collections.abc import Callable

from runners.base_runner import BaseRunner
from runners.episode_runner import EpisodeRunner
from runners.parallel_runner import ParallelRunner
from runners.ray_runner import RayRunner
from runners.vector_runner import VectorRunner

REGISTRY: dict[str, Callable[..., BaseRunner]] = {
    "episode": EpisodeRunner, "parallel": ParallelRunner, "ray": RayRunner, "vector": VectorRunner,
}  # fmt: skip
