"""Runs on a Ray cluster. Its nodes need this code, its packages and the results folder at the same paths as here."""

import logging
import socket
import time
from pathlib import Path

from study_runs import process
from study_runs.process import TAKEN, Work
from utils.errors import UserError
from utils.naming import to_install

try:
    import ray
    from ray.exceptions import RayError
except ModuleNotFoundError as missing:
    raise UserError(f"--ray needs the Python package ray: run `{to_install('requirements-ray.txt')}`") from missing

LOCAL = "local"
TICK = 0.2  # seconds between two looks at a process
ANSWER = 10  # seconds in which a cluster has to answer
LOST = 1  # instead of an exit code: the node, or Ray's worker on it, is gone


class RayTask:
    """A run on its way through the cluster: queued, at work, or done."""

    def __init__(self, ref: "ray.ObjectRef[int]") -> None:
        self._ref = ref

    def poll(self) -> int | None:
        """Return the exit code, or None while it is queued or runs."""
        if not ray.wait([self._ref], timeout=0)[0]:
            return None
        try:
            return ray.get(self._ref)
        except RayError:
            return LOST

    def interrupt(self) -> None:
        """Take it out of the queue, or ask it to save and end."""
        ray.cancel(self._ref)

    def kill(self) -> None:
        """Let Ray end its worker; the run's process was asked to end before."""
        ray.cancel(self._ref, force=True)


class RayCluster:
    """Sends runs to the cluster at an address, as many as there are: it queues what it has no room for.

    Each takes `cpus` and a share of the `gpus`. The address `local` starts a cluster here, which ends with `close`.
    """

    slots = 10**6

    def __init__(self, address: str, cpus: int, gpus: float) -> None:
        code = {"PYTHONPATH": str(Path(__file__).parents[1])}
        try:
            _reach(address)  # where nobody answers, Ray itself would try for minutes
            ray.init(
                address=None if address == LOCAL else address, include_dashboard=False if address == LOCAL else None,
                log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": code},
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as why:
            reason = str(why).splitlines()[0]
            raise UserError(f"--ray {address}: no cluster there ({reason}); or take --ray local") from why
        room = ray.cluster_resources()
        for what, share in (("CPU", cpus), ("GPU", gpus)):
            if share > room.get(what, 0):
                ray.shutdown()
                setting, there = f"{what.lower()}s_per_run", room.get(what, 0)
                raise UserError(f"{setting}={share:g}: the cluster has {there:g}; take fewer, or another cluster")
        self.at_once = int(min(room["CPU"] // cpus, room["GPU"] // gpus if gpus else self.slots))
        self._work = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(work_at)

    def start(self, work: Work) -> RayTask:
        """Queue a run."""
        return RayTask(self._work.remote(work))

    def close(self) -> None:
        """Leave the cluster, and end it where it was started here."""
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError or ValueError where an address with a port is not answered; `local` and `auto` have none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()


def work_at(work: Work) -> int:
    """Work at a run on the node that this is called on; return the exit code, or `TAKEN`."""
    process_here = process.start(work)
    if process_here is None:
        while work.is_taken():
            time.sleep(TICK)
        return TAKEN
    while process_here.poll() is None:
        try:
            time.sleep(TICK)
        except KeyboardInterrupt:  # how Ray cancels
            process.interrupt(process_here)
    return process_here.returncode
