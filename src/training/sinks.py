"""Where figures leave: the archive always, TensorBoard's files and Weights & Biases where settings say so.

A place is a context manager that gives a sink, which the logger calls with `(name, value, t_env)`, and that closes the
place however the run ends.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from training.assembly import Run
from training.told_to_scripts import keeper
from utils.errors import PassingError, UserError
from utils.files import writing
from utils.logging import Sink
from utils.naming import to_install

WANDB_ID = re.compile(r"[a-z0-9]{8}")


def check_places(args: Any) -> None:
    """Refuse Weights & Biases where its package or an account's key is missing; nothing has been written by then."""
    if not args.use_wandb:
        return
    try:
        import wandb
    except ModuleNotFoundError as missing:
        raise UserError(
            f"use_wandb=True needs {missing.name}: run `{to_install('requirements-wandb.txt')}`, or take "
            "use_wandb=False"
        ) from missing
    if args.wandb_mode == "online":
        try:
            wandb.login(verify=False)
        except wandb.errors.Error as why:
            raise UserError(
                f"wandb_mode=online: {_one_line(why)}; run `wandb login` once, or take wandb_mode=offline and "
                "`wandb sync` later"
            ) from why


def wandb_id(info: Mapping[str, Any]) -> str:
    """Return the id of the run there: what its `info.json` says, or a new one."""
    known = info.get("wandb_id")
    return known if isinstance(known, str) and WANDB_ID.fullmatch(known) else secrets.token_hex(4)


@contextmanager
def figures_leave(run: Run, archived: Any, folder: Path, settings: Mapping[str, Any], resumed: bool) -> Iterator[None]:
    """Let figures go where they belong within the block.

    Args:
        run: whose figures; what is to be told of the places is added to its notes.
        archived: sacred's run, whose `info` is what `info.json` says.
        folder: the run's.
        settings: as the archive has them.
        resumed: whether it goes on in that folder.
    """
    args = run.args
    with ExitStack() as stack:
        sinks: list[Sink] = [lambda name, value, t: archived.log_scalar(name, value, t), keeper(archived)]
        if args.use_tensorboard:
            sinks.append(stack.enter_context(_tensorboard(folder / "tb", run.t_env + 1 if resumed else None)))
        if args.use_wandb:
            sinks.append(stack.enter_context(_wandb(run, folder, settings, archived.info)))
        run.logger.sinks += sinks
        yield


@contextmanager
def _tensorboard(folder: Path, purge_step: int | None) -> Iterator[Sink]:
    """Write TensorBoard's files; what earlier ones say from `purge_step` on is not shown any more."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom asked for

    writer = SummaryWriter(str(folder), purge_step=purge_step)
    try:
        yield writing(folder)(writer.add_scalar)
    finally:
        writing(folder)(writer.close)()


@contextmanager
def _wandb(run: Run, folder: Path, settings: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Sink]:
    """Send figures to Weights & Biases, whose steps are `t_env`.

    The id is the archive's: a run that is resumed goes on there, too. What it measures again, the same, is not taken a
    second time there, for steps only go forward.
    """
    import wandb

    args = run.args
    quiet = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)  # the archive has all that
    try:
        there = wandb.init(
            id=info["wandb_id"], resume="allow", mode=args.wandb_mode, project=args.wandb_project,
            entity=args.wandb_team, group=args.wandb_group or f"{args.name} {run.task}", dir=str(folder),
            name=f"{args.name} {run.task}, seed {args.seed}, run {folder.name}", settings=quiet,
            config={**settings, "commit": info["commit"]},
        )  # fmt: skip
    except wandb.errors.Error as why:
        raise PassingError(
            f"Weights & Biases does not answer ({_one_line(why)}); see to the network or the account, or take "
            "wandb_mode=offline"
        ) from why
    where = there.dir.removesuffix("/files")
    run.notes.append(f"Weights & Biases: {f'`wandb sync {where}` sends it' if there.offline else there.url}")
    ended = 1
    try:
        yield lambda name, value, t: there.log({name: value}, step=t)
        ended = 0
    finally:
        there.finish(exit_code=ended)


def _one_line(why: Exception) -> str:
    return " ".join(str(why).split())[:200].rstrip(".")
