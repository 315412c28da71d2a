"""One Ray actor per environment, on the nodes of a cluster: for engines that need a machine each.

Episodes hang on their seeds alone, so they are those of every other runner. A node that is lost takes its episodes with
it: its environments start anew on the nodes that are left, and the episodes are played again. Actors ask for no CPU
of Ray's books, so there is always a place for them; they are spread over the nodes.

The cluster is the one at `RAY_ADDRESS`, or one that runs on this machine, or else one that is started here. Its nodes
need this code, its packages and the environment's at the same paths as here.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from envs.multiagentenv import EpisodeLostError
from envs.serving import Served
from runners.base_runner import Limits
from runners.worker_runner import SLICE, WorkerRunner
from utils.errors import PassingError, UserError
from utils.naming import to_install

CODE = str(Path(__file__).parents[1])


class RayRunner(WorkerRunner):
    """`batch_size` actors, each with one environment."""

    def __init__(self, env_path: str, env_args: dict[str, Any], batch_size: int, clock: Any, limits: Limits) -> None:
        self.ray = _ray()
        self.ours = not self.ray.is_initialized()
        if self.ours:
            try:
                self.ray.init(
                    include_dashboard=False, log_to_driver=False, logging_level="error",
                    runtime_env={"env_vars": {"PYTHONPATH": CODE}},
                )  # fmt: skip
            except (OSError, ValueError, RuntimeError) as why:
                reason = str(why).partition("\n")[0]
                raise PassingError(f"runner=ray: no cluster (RAY_ADDRESS) that answers: {reason}") from why
        self._kind = self.ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy="SPREAD")(Served)
        self.env_path, self.env_args = env_path, env_args
        self.actors: list[Any] = [None] * batch_size
        self.answers: list[Any] = [None] * batch_size
        super().__init__(batch_size, clock, limits)

    def _start(self, slot: int) -> None:
        self.actors[slot] = self._kind.remote(self.env_path, self.env_args)
        self._send(slot, "info")

    def _send(self, slot: int, command: str, argument: Any = None) -> None:
        self.answers[slot] = self.actors[slot].ask.remote(command, argument)

    def _receive(self, slot: int, deadline: float) -> Any:
        answer = self.answers[slot]
        while not self.ray.wait([answer], timeout=max(0.0, min(SLICE, deadline - time.monotonic())))[0]:
            self.check_stop()
            if time.monotonic() >= deadline:
                raise EpisodeLostError(
                    f"environment worker {slot} on the cluster gave no answer for {self.limits.env_timeout:g} s "
                    "(env_timeout): it hangs, or its node is out of reach"
                )
        try:
            status, value = self.ray.get(answer)
        except self.ray.exceptions.RayError as why:
            reason = str(why).strip().partition("\n")[0]
            raise EpisodeLostError(f"environment worker {slot} was lost with its node or process: {reason}") from None
        return self._value(slot, status, value)

    def _discard(self, slots: Sequence[int]) -> None:
        for slot in slots:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(self.actors[slot])

    def close(self) -> None:
        """Ask every actor to close its environment, end it, and leave the cluster."""
        actors, self.actors = [actor for actor in self.actors if actor is not None], []
        with suppress(self.ray.exceptions.RayError):
            self.ray.wait([actor.ask.remote("close", None) for actor in actors], num_returns=len(actors), timeout=5)
        for actor in actors:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(actor)
        if self.ours and self.ray.is_initialized():
            self.ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as missing:
        mend = to_install("requirements-ray.txt")
        raise UserError(f"runner=ray needs the Python package ray: run `{mend}`") from missing
    return ray
