"""`python src/study.py run STUDY [--jobs N | --ray ADDRESS]`."""

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from study_runs import asked
from study_runs.archives import Archives
from study_runs.asked import Study
from study_runs.driver import Driver
from study_runs.places import flags_of, place_of
from study_runs.views import view_of
from utils import locks
from utils.errors import RunFailedError, UserError
from utils.naming import typed


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    asked.configure_file(parser)
    parser.add_argument("--jobs", metavar="N", help="runs at once on this machine (default: what the study says, or 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="send the runs to this Ray cluster; local starts one here")


def work(args: Namespace) -> None:
    """Do every run that is not finished; raise `RunFailedError` if some of them failed too often."""
    study = asked.read(args.file, flags_of(args))
    _check(study)
    try:
        lock = locks.take(study.lock)
    except OSError as why:
        raise UserError(f"{study.lock.parent}: cannot write there ({why.strerror})") from why
    if lock is None:
        raise UserError(f"{args.file} is being run already; see {typed('study')} status {args.file}")
    with lock:
        locks.sign(lock, os.getpid())
        _settle_cpus(study.running, args.ray)
        place = place_of(study.running, args.ray)
        archives = Archives(asked.CONFIG_DIR)
        try:
            with view_of(study.runs, place.at_once, study.running["line_interval"]) as view:
                driver = Driver(study.runs, archives, place, view, study.running)
                driver.work()
        finally:
            place.close()
    if driver.gave_up:
        name, reason = next(iter(driver.gave_up.items()))
        raise RunFailedError(f"{len(driver.gave_up)} of {len(study.runs)} runs were given up, {name} for one: {reason}")


def _check(study: Study) -> None:
    """Refuse settings that are each fine but do not go together, before anything is begun."""
    from settings import to_args
    from training.assembly import check  # brings Torch, which takes seconds

    for run in study.runs:
        try:
            check(to_args(run.settings))
        except UserError as why:
            raise UserError(f"{run.name}: {why}") from why


def _settle_cpus(running: dict[str, Any], address: str | None) -> None:
    """Say how many CPUs each run has, where the study does not."""
    share = max(1, len(os.sched_getaffinity(0)) // running["jobs"]) if address is None else 1
    running["cpus_per_run"] = running["cpus_per_run"] or share
