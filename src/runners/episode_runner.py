"""One environment, one episode at a time: the simplest runner, for debugging, films and heavy environments."""

from typing import Any

from envs import make_env_from_path
from envs.batch import EnvsInTurn
from runners.vector_runner import VectorRunner


class EpisodeRunner(VectorRunner):
    """A `VectorRunner` with a single environment, `env`, which may be looked at between steps."""

    def _make(self, env_path: str, env_args: dict[str, Any], batch_size: int) -> EnvsInTurn:
        if batch_size != 1:
            raise ValueError(f"runner=episode plays one episode at a time, not batch_size_run={batch_size}")
        alone = EnvsInTurn(lambda: make_env_from_path(env_path, env_args), 1)
        (self.env,) = alone.envs
        return alone
