"""Where runs are done, as a command line says: on this machine (`--jobs`), or on a Ray cluster (`--ray`)."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from study_runs.driver import Place
from study_runs.local import Local
from utils.errors import UserError


def flags_of(args: Namespace) -> dict[str, str]:
    """Return the settings of `running` that the command line gives; raise `UserError` where it names two places."""
    if args.jobs is not None and args.ray is not None:
        raise UserError("--jobs is for this machine; with --ray the cluster's resources say how many runs go at once")
    return {} if args.jobs is None else {"jobs": args.jobs}


def place_of(running: Mapping[str, Any], address: str | None) -> Place:
    """Return the place; `running` says how many CPUs a run has."""
    if address is None:
        return Local(running["jobs"])
    from study_runs.ray_cluster import RayCluster  # an optional package

    return RayCluster(address, running["cpus_per_run"], running["gpus_per_run"])
