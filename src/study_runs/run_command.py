"""`python src/study.py run STUDY [--jobs N | --ray ADDRESS]`."""

import os
from argparse import ArgumentParser, Namespace

from study_runs import asked
from study_runs.archives import Archives
from study_runs.asked import Study
from study_runs.driver import Driver, Place
from study_runs.local import Local
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
    if args.jobs is not None and args.ray is not None:
        raise UserError("--jobs is for this machine; with --ray the cluster's resources say how many runs go at once")
    study = asked.read(args.file, {} if args.jobs is None else {"jobs": args.jobs})
    _check(study)
    try:
        lock = locks.take(study.lock)
    except OSError as why:
        raise UserError(f"{study.lock.parent}: cannot write there ({why.strerror})") from why
    if lock is None:
        raise UserError(f"{args.file} is being run already; see {typed('study')} status {args.file}")
    with lock:
        locks.sign(lock, os.getpid())
        place = _place(study, args.ray)
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


def _place(study: Study, address: str | None) -> Place:
    """Return where the runs are done, and settle how many threads each gets."""
    running = study.running
    if address is not None:
        from study_runs.ray_cluster import RayCluster  # an optional package

        running["cpus_per_run"] = running["cpus_per_run"] or 1
        return RayCluster(address, running["cpus_per_run"], running["gpus_per_run"])
    running["cpus_per_run"] = running["cpus_per_run"] or max(1, len(os.sched_getaffinity(0)) // running["jobs"])
    return Local(running["jobs"])
