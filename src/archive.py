"""A run as a sacred experiment: `<results>/sacred/<task>/<algorithm>/<id>/` holds all that it leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sacred import SETTINGS, Experiment
from sacred.observers import FileStorageObserver
from sacred.utils import apply_backspaces_and_linefeeds

from run import Run, evaluate, train
from utils.commit import commit_of
from utils.errors import UserError
from utils.logging import Console

SOURCE = Path(__file__).parent
SETTINGS.CAPTURE_MODE = "sys"  # prints of this process; file descriptors would also catch the workers'
SETTINGS.CONFIG.READ_ONLY_CONFIG = False


def record(run: Run, settings: Mapping[str, Any]) -> None:
    """Train (or evaluate) under sacred's eyes. Errors leave through it, so `run.json` says how the run ended."""
    args = run.args
    # sacred's own look at git fails in a repository without commits; `_commit` does not.
    experiment = Experiment("mmsa-pymarl", base_dir=str(SOURCE), save_git_info=False)
    experiment.captured_out_filter = apply_backspaces_and_linefeeds
    experiment.add_config(dict(settings))
    root = Path(args.local_results_path) / "sacred" / run.task / args.name
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise UserError(f"local_results_path={args.local_results_path}: cannot write there ({why.strerror})") from why
    observer = FileStorageObserver(str(root))
    experiment.observers.append(observer)

    @experiment.main
    def _main(_run: Any) -> float:
        folder = Path(observer.dir)
        _run.info["commit"] = commit_of(SOURCE)
        run.logger.sinks.append(lambda key, value, t: _run.log_scalar(key, value, t))
        writer = _tensorboard(folder) if args.use_tensorboard else None
        if writer is not None:
            run.logger.sinks.append(writer.add_scalar)
        console = Console(run.t_env, args.t_max, f"{args.name} {run.task}")
        console.say(f"archive: {folder}")
        try:
            (evaluate if args.evaluate else train)(run, folder, console)
        finally:
            console.close()
            if writer is not None:
                writer.close()
        console.say(f"archive: {folder}")
        return run.logger.latest["test_return_mean"]

    experiment.run(options={"--loglevel": "WARNING"})


def _tensorboard(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom asked for

    return SummaryWriter(str(folder / "tb"))
