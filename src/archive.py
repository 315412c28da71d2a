"""A run as a sacred experiment: `<results>/sacred/<task>/<algorithm>/<id>/` holds all that it leaves."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch as th
from sacred import SETTINGS, Experiment
from sacred.observers import FileStorageObserver
from sacred.utils import apply_backspaces_and_linefeeds

from absolute import evaluate_best
from envs import versions
from resuming import save
from run import Run, evaluate, train
from utils.commit import commit_of
from utils.errors import UserError
from utils.files import write_whole
from utils.logging import Console
from utils.run_folder import read_json
from utils.stopping import listening

SOURCE = Path(__file__).parent
SETTINGS.CAPTURE_MODE = "sys"  # prints of this process; file descriptors would also catch the workers'
SETTINGS.CONFIG.READ_ONLY_CONFIG = False


class ArchiveObserver(FileStorageObserver):
    """sacred's archive, whose files appear whole or not at all, and which can go on in a folder that is there."""

    def __init__(self, root: Path, folder: Path | None) -> None:
        super().__init__(str(root))
        self.folder = folder

    def _make_run_dir(self, _id: str | None) -> None:
        if self.folder is None:
            super()._make_run_dir(_id)
        else:
            self.dir = str(self.folder)

    def save_json(self, obj: object, filename: str) -> None:
        """Write one of the archive's JSON files."""
        write_whole(Path(self.dir) / filename, lambda path: FileStorageObserver.save_json(self, obj, path.name))


def record(run: Run, settings: Mapping[str, Any], resumed: Path | None = None) -> None:
    """Train (or evaluate) under sacred's eyes, in a new folder, or in the one of a run that is `resumed`.

    Errors and stops leave through it, so `run.json` says how the run ended.
    """
    args = run.args
    # sacred's own look at git fails in a repository without commits; `commit_of` does not.
    experiment = Experiment("mmsa-pymarl", base_dir=str(SOURCE), save_git_info=False)
    experiment.captured_out_filter = apply_backspaces_and_linefeeds
    experiment.add_config(dict(settings))
    observer = ArchiveObserver(_new_root(run) if resumed is None else resumed.parent, resumed)
    experiment.observers.append(observer)

    @experiment.main
    def _main(_run: Any) -> float:
        folder = Path(observer.dir)
        _run.info |= _said_of_code(run, resumed)
        run.logger.sinks.append(lambda key, value, t: _run.log_scalar(key, value, t))
        writer = _tensorboard(folder) if args.use_tensorboard else None
        if writer is not None:
            run.logger.sinks.append(writer.add_scalar)
        console = Console(run.t_env, args.t_max, f"{args.name} {run.task}")
        console.say(f"archive: {folder}")
        try:
            if args.evaluate:
                evaluate(run, folder, console)
            else:
                with listening() as stop:
                    train(run, folder, console, save, stop)
                    if args.absolute_factor > 0:
                        evaluate_best(run, folder, console, stop)
        finally:
            console.close()
            if writer is not None:
                writer.close()
        console.say(f"archive: {folder}")
        return run.logger.latest["test_return_mean"]

    experiment.run(options={"--loglevel": "WARNING"})


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
    code = {"commit": commit_of(SOURCE), "environment": environment, "packages": {"torch": th.__version__}}
    if resumed is None:
        return code
    said = resumed / "info.json"  # sacred writes it with its first heartbeat, some seconds after the start
    earlier = read_json(said) if said.exists() else {}
    start = code | {"t_env": run.t_env, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    return code | earlier | {"resumed": [*earlier.get("resumed", []), start]}


def _tensorboard(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom asked for

    return SummaryWriter(str(folder / "tb"))
