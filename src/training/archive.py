"""A run as a sacred experiment: `<results>/sacred/<task>/<algorithm>/<id>/` holds all that it leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sacred import SETTINGS, Experiment

from learners.not_finite import NotFiniteError
from settings import archived
from training.absolute import evaluate_best
from training.assembly import Run
from training.code import SOURCE, said_of_code
from training.evaluation import evaluate
from training.faults import faults_kept
from training.loop import train
from training.observer import ArchiveObserver, no_place
from training.post_mortem import DIVERGED, failed_update, where_it_diverged
from training.resuming import save
from training.sinks import check_places, figures_leave, wandb_id
from training.told_to_scripts import as_lists
from utils.errors import PassingError
from utils.logging import Console
from utils.memory import no_room
from utils.printing import printed_to
from utils.stopping import listening

LESS = "a smaller batch_size, batch_size_run or network takes less, and buffer_device=cpu less of a GPU"
SETTINGS.CAPTURE_MODE = "no"  # sacred would write what is printed every ten seconds, and lose what comes last
SETTINGS.CONFIG.READ_ONLY_CONFIG = False


def record(run: Run, settings: Mapping[str, Any], resumed: Path | None = None) -> Path:
    """Train (or evaluate) under sacred's eyes, in a new folder, or in the one of a run that is `resumed` and held.

    Errors and stops leave through it, so `run.json` says how the run ended. Returns the folder.
    """
    check_places(run.args)
    # sacred's own look at git fails in a repository without commits; `commit_of` does not.
    experiment = Experiment("mmsa-pymarl", base_dir=str(SOURCE), save_git_info=False)
    experiment.add_config(archived(settings))
    observer = ArchiveObserver(_new_root(run) if resumed is None else resumed.parent, resumed)
    info = said_of_code(run, resumed) | as_lists(run.logger.history)
    if run.args.use_wandb:
        info["wandb_id"] = wandb_id(info)
    observer.begin(archived(settings), info)
    run.notes += [observer.said] if observer.said else []
    experiment.observers.append(observer)

    @experiment.main
    def _main(_run: Any) -> float:
        _run.info |= info
        try:
            with figures_leave(run, _run, observer.folder, archived(settings), resumed is not None):
                _work(run, observer)
        except NotFiniteError as bad:
            _run.info[DIVERGED] = where_it_diverged(run, bad)
            raise failed_update(run, Path(observer.dir), bad) from bad
        except (MemoryError, RuntimeError) as why:
            if no_room(why) is None:
                raise
            raise PassingError(f"there was not enough memory ({no_room(why)}); {LESS}") from why
        return run.logger.latest["test_return_mean"]

    printed = observer.folder / "cout.txt"
    held, copied = observer.held, printed_to(printed, lambda why: observer.failed(printed, why), observer.unread)
    with held, copied, faults_kept(run, observer.folder):
        experiment.run(options={"--loglevel": "WARNING"})
    if observer.failure is not None:
        raise observer.failure  # in what sacred wrote last
    return observer.folder


def _work(run: Run, observer: ArchiveObserver) -> None:
    """Train or evaluate, with what is said going where it belongs."""
    args, folder = run.args, Path(observer.dir)
    console = Console(run.t_env, args.t_max, f"{args.name} {run.task}")
    for line in [f"archive: {folder}", *run.runner.info.notes, *([] if run.transfer is None else run.transfer.lines())]:
        console.say(line)
    for note in run.notes:
        console.say(f"note: {note}")
    try:
        if args.evaluate:
            evaluate(run, folder, console)
        else:
            with listening() as stop:
                observer.stop = run.runner.stop = stop
                train(run, folder, console, save, stop)
                if args.absolute_factor > 0:
                    evaluate_best(run, folder, console)
    finally:
        console.close()
    console.say(f"archive: {folder}")


def _new_root(run: Run) -> Path:
    """Return the folder in which new runs of this task and algorithm get theirs."""
    results = run.args.local_results_path
    root = Path(results) / "sacred" / run.task / run.args.name
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise no_place(f"local_results_path={results}", why) from why
    return root
