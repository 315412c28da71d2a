"""`python src/study.py status STUDY`."""

from argparse import ArgumentParser, Namespace

from study_runs import asked
from study_runs.archives import Archives
from study_runs.views import study_console, table
from utils import locks


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    asked.configure_file(parser)


def work(args: Namespace) -> None:
    """Print where every run stands, by the archives."""
    study = asked.read(args.file, {})
    archives = Archives(asked.CONFIG_DIR)
    standings = {run.name: archives.standing(run) for run in study.runs}
    console = study_console()
    console.print(table(study.runs, standings, {}, study.running["jobs"]))
    who = locks.holder(study.lock)
    console.print("nobody does its runs now" if who is None else f"process {who.pid} on {who.host} does its runs")
    for folder in archives.strangers(study.runs):
        console.print(f"note: {folder} is of none of these runs; was the study's file different then?")
