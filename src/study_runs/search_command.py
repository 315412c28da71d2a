"""`python src/study.py search SEARCH [--trials N] [--jobs N | --ray ADDRESS] [--storage URL] [--report]`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study_runs.archives import Archives
from study_runs.asked import CONFIG_DIR
from study_runs.driver import Driver, Place
from study_runs.places import flags_of, place_of
from study_runs.planned_run import PlannedRun
from study_runs.search_file import Search, read_search
from study_runs.search_runs import LogView
from utils import locks
from utils.arguments import whole
from utils.errors import UserError
from utils.naming import typed
from utils.stopping import listening

if TYPE_CHECKING:
    from optuna import Study

DRIVER_LOCK = ".search.lock"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="SEARCH", help="the search, such as studies/searches/matrix.yaml")
    parser.add_argument("--trials", type=whole(1, 10**6), default=20, metavar="N",
                        help="how many are to be done in all, those of earlier calls too (default: 20)")  # fmt: skip
    parser.add_argument("--jobs", metavar="N", help="seeds of a trial that train at once on this machine (default: "
                        "what the search says, or 1)")  # fmt: skip
    parser.add_argument("--ray", metavar="ADDRESS", help="send the seeds of a trial to this Ray cluster, all at once; "
                        "local starts one here")  # fmt: skip
    parser.add_argument("--storage", metavar="URL", help="Optuna's storage, any database that it knows, for several "
                        "machines with one results folder (default: SQLite in the search's folder)")  # fmt: skip
    parser.add_argument("--report", action="store_true", help="do no trials; write the report of those that are there, "
                        "also while another process works at the search")  # fmt: skip
    parser.add_argument("--results", type=Path, default=Path("results/searches"), metavar="FOLDER",
                        help="where searches are (default: results/searches)")  # fmt: skip


def work(args: Namespace) -> None:
    """Do trials until there are as many as asked for, write their report, and print the best one."""
    search = read_search(args.file, CONFIG_DIR, flags_of(args))
    results = args.results / search.name
    from study_runs import search as engine  # brings Optuna
    from study_runs.search_report import write_report  # and plotly, which is to be missed before a trial is begun

    if args.report:
        study = engine.there(search, results, args.storage)
    else:
        place = place_of(search.running, args.ray)
        try:
            study = engine.opened(search, results, args.storage)
            _search(study, search, results, args, place)
        finally:
            place.close()
    config = engine.config_of_best(search, results)
    given = " ".join(f"{key}={text}" for key, text in search.file.settings.items())
    to_run = (f"MMSA_CONFIGS={config.parents[1]} {typed('main')} --config={config.stem} "
              f"--env-config={search.file.env_config} with {given}")  # fmt: skip
    page = write_report(study, search, results, to_run)
    if any(trial.state.name == "COMPLETE" for trial in study.trials):
        engine.write_best(study, search, config)
        print(f"best: {study.best_value:.4g} with {' '.join(f'{k}={v}' for k, v in study.best_params.items())}")
        print(f"{config}\n{to_run}")
    else:
        print("no trial came to its end yet; give more --trials")
    print(page)


def _search(study: "Study", search: Search, results: Path, args: Namespace, place: Place) -> None:
    from study_runs import search as engine

    if args.storage is not None:  # several machines may be at work
        _trials(study, search, results, args.trials, place)
        return
    lock = locks.take(results / DRIVER_LOCK)
    if lock is None:
        raise UserError(f"{args.file} is being searched already; --storage lets several work at one search")
    with lock:
        engine.take_up_cut_off(study)
        _trials(study, search, results, args.trials, place)


def _trials(study: "Study", search: Search, results: Path, trials: int, place: Place) -> None:
    """Do trials one after the other; raise `Stopped` when asked to stop, once their runs have saved and ended."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    from study_runs import search as engine

    archives, log = Archives(CONFIG_DIR), LogView(results / "search.log")

    def do(runs: Sequence[PlannedRun]) -> Mapping[str, str]:
        stop.check()
        driver = Driver(runs, archives, place, log, search.running)
        driver.work()
        return driver.gave_up

    done = (TrialState.COMPLETE, TrialState.PRUNED)
    with listening() as stop:
        while len(study.get_trials(deepcopy=False, states=done)) < trials:
            stop.check()
            trial = engine.ask(study, search)
            try:
                value = engine.run_trial(search, trial, results, do)
            except TrialPruned as why:
                study.tell(trial, state=TrialState.PRUNED)
                print(f"trial {trial.number}: stopped, {why}", flush=True)
            except KeyboardInterrupt:
                engine.give_back(study, trial.number, trial.params)
                raise
            else:
                study.tell(trial, value)
                print(f"trial {trial.number}: {value:.4g}", flush=True)
