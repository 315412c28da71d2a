"""Which code a run was made with: said in `info.json` at every start, and compared when it goes on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from platform import node
from typing import Any

import torch as th
from torch import nn

from envs import env_path, versions
from settings import read_info
from training.assembly import Run
from training.post_mortem import DIVERGED
from training.task_sizes import sizes_of
from training.told_to_scripts import without_lists
from utils.commit import changed_since, commit_of
from utils.errors import UserError
from utils.naming import built
from utils.sources import digests

SOURCE = Path(__file__).parents[1]
ROOTS = ("main", "training.archive", "training.going_on")
REGISTRIES = (
    "components", "controllers", "envs", "learners", "runners", "modules.actors", "modules.agents", "modules.critics",
    "modules.mixers", "modules.worlds",
)  # fmt: skip
SHOWN = 3  # names of files in a message


def source_of(run: Run) -> dict[str, str]:
    """Return the files under `src/` that a run uses, with a digest of each."""
    parts = [run.runner, run.mac, run.learner, run.experience]
    networks = [*run.learner.trained.values(), *run.learner.targets.values()]
    parts += [module for network in networks if isinstance(network, nn.Module) for module in network.modules()]
    chosen = {type(part).__module__ for part in parts} | {env_path(run.args.env).partition(":")[0]}
    return _digests((*ROOTS, *sorted(chosen)))


@cache
def _digests(roots: tuple[str, ...]) -> dict[str, str]:
    return digests(SOURCE, roots, REGISTRIES)  # read once: what is loaded does not change with the files


def said_of_code(run: Run, resumed: Path | None) -> dict[str, Any]:
    """Return what `info.json` says of the code: commit, files, the environment's packages; and of each later start.

    A later start says of its files what differs from the one before.
    """
    environment = versions(run.args.env, run.args.env_args)
    packages = {"torch": str(th.__version__)}
    code = {"commit": commit_of(SOURCE), "machine": node(), "environment": environment, "packages": packages}
    if installed := built():
        packages["mmsa-pymarl"] = installed["version"]
    if run.runner.info.notes:
        code["notes"] = list(run.runner.info.notes)
    if resumed is None:
        code |= {"source": source_of(run), "task": sizes_of(run.runner.info)}
        return code if run.transfer is None else code | {"transfer": run.transfer.told()}
    earlier = without_lists(read_info(resumed))
    earlier.pop(DIVERGED, None)  # where it ended then; it may not end there again
    known, now = _last_source(earlier), source_of(run)
    start = code | {"t_env": run.t_env, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    start |= {"changed": {name: digest for name, digest in now.items() if known.get(name) != digest}} if known else {}
    told = code | {"source": now, "task": sizes_of(run.runner.info)}
    return told | earlier | {"resumed": [*earlier.get("resumed", []), start]}


def compare_code(run: Run, folder: Path, other_commit: bool) -> list[str]:
    """Return what is to be told of the code having changed since a run was last worked at.

    Raises `UserError` where files that the run uses have changed, unless `other_commit`.
    """
    info = read_info(folder)
    starts = [info, *info.get("resumed", [])]
    before, now = str(starts[-1].get("commit", "unknown")), commit_of(SOURCE)
    changed = _changed(run, info, before)
    told = [f"it was last worked at with commit {before[:12]}, and goes on with {now[:12]}"] if before != now else []
    if changed:
        named = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
        if not other_commit:
            raise UserError(
                f"{folder} was last worked at with commit {before[:12]}, and what it uses has changed since: {named}; "
                f"go back to that commit, or mix the two: resume={folder} with other_commit=true"
            )
        told.append(f"changed since, by other_commit=true: {named}")
    was, here = starts[-1].get("environment", {}), versions(run.args.env, run.args.env_args)
    told += [f"{name} was {was[name]} and is {here.get(name, 'gone')}" for name in was if was[name] != here.get(name)]
    return told


def _changed(run: Run, info: Mapping[str, Any], commit: str) -> list[str]:
    """Return the files that a run uses and that are not what they were at its last start."""
    now, known = source_of(run), _last_source(info)
    if known:
        return [name for name in now if known.get(name) != now[name]]
    return sorted(set(changed_since(SOURCE, commit)) & now.keys())  # an archive from before there were digests


def _last_source(info: Mapping[str, Any]) -> dict[str, str]:
    found = info.get("source")
    if not isinstance(found, dict):
        return {}
    for start in info.get("resumed", []):
        found = found | start.get("changed", {})
    return found
