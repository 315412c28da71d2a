"""A run as a sacred experiment: `<results>/sacred/<task>/<algorithm>/<id>/` holds all that it leaves."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch as th
from sacred import SETTINGS, Experiment
from sacred.observers import FileStorageObserver

from envs import versions
from learners.not_finite import NotFiniteError
from settings import read_info
from training.absolute import evaluate_best
from training.assembly import Run
from training.evaluation import evaluate
from training.faults import faults_kept
from training.loop import train
from training.post_mortem import failed_update
from training.resuming import save
from utils.commit import commit_of
from utils.errors import RunFailedError, UserError
from utils.files import unwritable, write_whole, writing
from utils.logging import Console
from utils.memory import no_room
from utils.printing import printed_to
from utils.stopping import StopRequest, listening

LESS = "a smaller batch_size, batch_size_run or network takes less, and buffer_device=cpu less of a GPU"
SOURCE = Path(__file__).parents[1]
SETTINGS.CAPTURE_MODE = "no"  # sacred would write what is printed every ten seconds, and lose what comes last
SETTINGS.CONFIG.READ_ONLY_CONFIG = False


class ArchiveObserver(FileStorageObserver):
    """sacred's archive, whose files appear whole or not at all, and which can go on in a folder that is there.

    What cannot be written once the run has begun is remembered as its `failure`, and told to `stop` in training: sacred
    would go on without its archive.
    """

    def __init__(self, root: Path, folder: Path | None) -> None:
        super().__init__(str(root), copy_sources=False)  # of which there would be this file alone; the commit says all
        self.folder = folder
        self.failure: RunFailedError | None = None
        self.stop: StopRequest | None = None

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make or take up the folder and write the settings; `UserError`, and nothing new, where that cannot be."""
        new = self.folder is None
        try:
            if new:
                super()._make_run_dir(None)
                self.folder = Path(self.dir)
            self.dir = str(self.folder)
            self._save(settings, self.folder / "config.json")
        except OSError as why:
            if new and self.folder is not None:
                shutil.rmtree(self.folder)
            raise UserError(f"{self.folder or self.basedir}: cannot write there ({why.strerror})") from why

    def _make_run_dir(self, _id: str | None) -> None:
        self.dir = str(self.folder)

    def _save(self, obj: object, path: Path) -> None:
        write_whole(path, lambda partial: FileStorageObserver.save_json(self, obj, partial.name))

    def save_json(self, obj: object, filename: str) -> None:
        """Write one of the archive's JSON files."""
        path = Path(self.dir) / filename
        with self._told(path):
            self._save(obj, path)

    def save_cout(self) -> None:
        """Do nothing: `printed_to` writes what is printed."""

    def failed(self, path: Path, why: OSError) -> None:
        """Remember, and tell, that a file of the archive cannot be written."""
        self.failure = unwritable(path, why)
        if self.stop is not None:
            self.stop.failure = self.failure

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as why:
            self.failed(path, why)


def record(run: Run, settings: Mapping[str, Any], resumed: Path | None = None) -> None:
    """Train (or evaluate) under sacred's eyes, in a new folder, or in the one of a run that is `resumed`.

    Errors and stops leave through it, so `run.json` says how the run ended.
    """
    args = run.args
    # sacred's own look at git fails in a repository without commits; `commit_of` does not.
    experiment = Experiment("mmsa-pymarl", base_dir=str(SOURCE), save_git_info=False)
    experiment.add_config(dict(settings))
    observer = ArchiveObserver(_new_root(run) if resumed is None else resumed.parent, resumed)
    observer.begin(settings)
    experiment.observers.append(observer)

    @experiment.main
    def _main(_run: Any) -> float:
        folder = Path(observer.dir)
        _run.info |= _said_of_code(run, resumed)
        run.logger.sinks.append(lambda key, value, t: _run.log_scalar(key, value, t))
        writer = _tensorboard(folder) if args.use_tensorboard else None
        if writer is not None:
            run.logger.sinks.append(writing(folder / "tb")(writer.add_scalar))
        console = Console(run.t_env, args.t_max, f"{args.name} {run.task}")
        _say_first(run, folder, console)
        try:
            if args.evaluate:
                evaluate(run, folder, console)
            else:
                with listening() as stop:
                    observer.stop = stop
                    train(run, folder, console, save, stop)
                    if args.absolute_factor > 0:
                        evaluate_best(run, folder, console, stop)
        except NotFiniteError as bad:
            raise failed_update(run, folder, bad) from bad
        except (MemoryError, RuntimeError) as why:
            if no_room(why) is None:
                raise
            raise RunFailedError(f"there was not enough memory ({no_room(why)}); {LESS}") from why
        finally:
            console.close()
            if writer is not None:
                writing(folder / "tb")(writer.close)()
        console.say(f"archive: {folder}")
        return run.logger.latest["test_return_mean"]

    printed = observer.folder / "cout.txt"
    with printed_to(printed, lambda why: observer.failed(printed, why)), faults_kept(run, observer.folder):
        experiment.run(options={"--loglevel": "WARNING"})
    if observer.failure is not None:
        raise observer.failure  # in what sacred wrote last


def _say_first(run: Run, folder: Path, console: Console) -> None:
    for line in [f"archive: {folder}", *run.runner.info.notes, *([] if run.transfer is None else run.transfer.lines())]:
        console.say(line)


def _new_root(run: Run) -> Path:
    """Return the folder in which new runs of this task and algorithm get theirs."""
    results = run.args.local_results_path
    root = Path(results) / "sacred" / run.task / run.args.name
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise UserError(f"local_results_path={results}: cannot write there ({why.strerror})") from why
    return root


def _said_of_code(run: Run, resumed: Path | None) -> dict[str, Any]:
    """Return what `info.json` says of the code: the commit, the environment's packages; and of each later start."""
    environment = versions(run.args.env, run.args.env_args)
    code = {"commit": commit_of(SOURCE), "environment": environment, "packages": {"torch": str(th.__version__)}}
    if run.runner.info.notes:
        code["notes"] = list(run.runner.info.notes)
    if resumed is None:
        return code if run.transfer is None else code | {"transfer": run.transfer.told()}
    earlier = read_info(resumed)
    start = code | {"t_env": run.t_env, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    return code | earlier | {"resumed": [*earlier.get("resumed", []), start]}


def _tensorboard(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom asked for

    return SummaryWriter(str(folder / "tb"))
