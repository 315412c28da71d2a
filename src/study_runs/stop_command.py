"""`python src/study.py stop STUDY`."""

import signal
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from study_runs import asked
from study_runs.archives import lock_path
from utils import locks
from utils.errors import UserError

TICK = 0.5  # seconds between two looks


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    asked.configure_file(parser)


def work(args: Namespace) -> None:
    """Let the process that does the study's runs, or what an earlier one has left, save and end; wait until they have.

    Raises `UserError` where that process is on another machine.
    """
    study = asked.read(args.file, {})
    runs = [lock_path(run) for run in study.runs]
    told = _interrupt([study.lock]) or _interrupt(runs)
    if not told:
        print("nothing of it is running")
        return
    print(f"asked {told} process{'es' if told > 1 else ''} to save and end; waiting", flush=True)
    while any(locks.is_locked(path) for path in [study.lock, *runs]):
        time.sleep(TICK)
    print("all have ended")


def _interrupt(paths: list[Path]) -> int:
    """Interrupt who holds these locks; return how many do."""
    found = [who for path in paths if (who := locks.holder(path)) is not None]
    for who in found:
        if not locks.is_here(who):
            raise UserError(f"process {who.pid} on {who.host} does its runs: stop it there")
    for who in found:
        locks.interrupt(who, signal.SIGINT)
    return len(found)
