"""One environment, one episode at a time: the simplest runner, for debugging and for heavy environments."""

from typing import Any

from runners.vector_runner import VectorRunner


class EpisodeRunner(VectorRunner):
    """A `VectorRunner` with a single environment."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any) -> None:
        if batch_size != 1:
            raise ValueError(f"runner=episode plays one episode at a time, not batch_size_run={batch_size}")
        super().__init__(env_path, env_args, batch_size, clock)
