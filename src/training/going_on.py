"""Going on in a run's folder: from the last checkpoint that can be read, with what it overwrites put aside first."""

import csv
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from envs import check_archived
from settings import read_info, refuse_absent, to_args
from training.absolute import ABSOLUTE_EPISODES, forget_others
from training.aside import METRICS, copy_aside, move_aside
from training.assembly import Run, build, check
from training.checkpoint import CHECKPOINTS, checkpoints_in, tidy
from training.code import compare_code
from training.evaluation import BEST, EVAL_EPISODES
from training.post_mortem import FOLDER as NOT_FINITE
from training.replay_files import cut_episodes
from training.resuming import REPLAY, restore
from utils.errors import PassingError, UnreadableError, UserError
from utils.files import flush, write_whole, writing

LISTS = [EVAL_EPISODES, ABSOLUTE_EPISODES]
ALL = [METRICS, *LISTS, CHECKPOINTS, REPLAY, BEST, NOT_FINITE, "tb", "cout.txt", "run.json", "info.json"]


def go_on(folder: Path, settings: Mapping[str, Any], restart: bool = False, other_commit: bool = False) -> Run:
    """Return the run of a folder as its last readable checkpoint left it, or as it began if it has none yet.

    The caller holds the folder. `restart` begins anew in it, with all that it has put aside; `other_commit` goes on
    with code that has changed. Raises `UserError` where nothing is left to do or the code differs, `UnreadableError`
    where there is nothing to go on from and figures would be lost, and `PassingError` where the run cannot be built now
    although it could once.
    """
    check_archived(settings["env"], settings["env_args"])
    read_info(folder)
    if not restart:
        _refuse_finished(folder, settings["t_max"])
    run = _built(settings)
    try:
        if not restart:
            run.notes += compare_code(run, folder, other_commit)
        with writing(folder):
            _tidy(folder)
        if restart:
            with writing(folder):
                run.notes.append(f"all that was here is in {move_aside(folder, ALL, 'restart')}")
        eval_bytes = _taken_up(run, folder, settings)
        _refuse_few_steps(run, folder)
        with writing(folder):
            _cut_back(run, folder, eval_bytes)
    except BaseException:
        run.close()
        raise
    return run


def _built(settings: Mapping[str, Any]) -> Run:
    check(to_args(settings))
    try:
        # where its own weights began is in its checkpoints
        return build(settings | {"checkpoint_path": None, "checkpoint_transfer": False})
    except UserError as why:  # which it was not when it began: a game, a package or memory is not there now
        raise PassingError(str(why)) from why


def _tidy(folder: Path) -> None:
    """Remove what was half written; nobody else works here."""
    for place in (folder, folder / REPLAY):
        for partial in place.glob(".*.partial"):
            partial.unlink()
    for place in (folder / CHECKPOINTS, folder / BEST):
        if place.is_dir():
            tidy(place)


def _refuse_finished(folder: Path, t_max: int) -> None:
    there = reached(folder)
    if _status(folder) == "COMPLETED" and there >= t_max:
        raise _nothing_to_train(folder, there, t_max)


def _nothing_to_train(folder: Path, there: int, t_max: int) -> UserError:
    fewer = t_max < _held(folder / "config.json").get("t_max", t_max)
    has = f"has trained {there} steps" if fewer else f"has trained its {t_max} steps"
    return UserError(f"{folder} {has}; to train on: resume={folder} with t_max=<more than {there}>")


def _refuse_few_steps(run: Run, folder: Path) -> None:
    """Refuse to end before where a run stands."""
    t_max = run.args.t_max
    if t_max < _held(folder / "config.json").get("t_max", t_max) and run.t_env >= t_max:
        raise _nothing_to_train(folder, run.t_env, t_max)


def _status(folder: Path) -> Any:
    return _held(folder / "run.json").get("status")


def _held(path: Path) -> dict[str, Any]:
    """Return what a file holds that is no part of what a run goes on from: nothing, where it cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        held = json.loads(path.read_text())
        return held if isinstance(held, dict) else {}
    return {}


def reached(folder: Path) -> int:
    """Return the last environment step of which a folder holds a figure, -1 if there is none."""
    steps = [-1]
    for series in _held(folder / METRICS).values():
        with suppress(LookupError, TypeError):
            steps += [step for step in series["steps"] if isinstance(step, int)]
    with suppress(OSError, csv.Error), (folder / EVAL_EPISODES).open(newline="") as file:
        steps += [int(row[0]) for row in csv.reader(file) if row and row[0].isdecimal()]
    return max(steps)


def _taken_up(run: Run, folder: Path, settings: Mapping[str, Any]) -> int:
    """Bring a run to its last readable checkpoint; return how long the list of episodes was then, in bytes."""
    found, faults = checkpoints_in(folder / CHECKPOINTS), []
    for checkpoint in reversed(found):
        try:
            eval_bytes = restore(run, folder, checkpoint)
        except UserError as why:
            refuse_absent(folder, why.__cause__)
            faults.append(str(why))
            continue
        damaged = [f"{CHECKPOINTS}/{path.name}" for path in found[found.index(checkpoint) + 1 :]]
        if damaged:
            with writing(folder):
                place = move_aside(folder, damaged, "damaged")
            run.notes += [*faults, f"going on from {checkpoint}, the one before; what is damaged is in {place}"]
        return eval_bytes
    if faults:
        more = f", nor can the {len(faults) - 1} before it" if len(faults) > 1 else ""
        raise UnreadableError(f"{faults[0]}{more}")
    refuse_absent(folder)
    if settings["checkpoint_path"] is not None:
        raise UnreadableError(f"{folder} has no checkpoint yet: start it again")
    _refuse_loss(run, folder)
    return 0


def _refuse_loss(run: Run, folder: Path) -> None:
    """Refuse to begin anew in a folder whose figures reach further than a run gets before its first checkpoint."""
    args, end = run.args, reached(folder)
    explained = args.save_model_interval if args.save_model else 0
    explained += run.args.batch_size_run * run.runner.info.episode_limit  # a round may have ended beyond it
    if _status(folder) == "COMPLETED" or end > explained:
        why = "" if args.save_model else " (save_model=False)"
        raise UnreadableError(
            f"{folder} has no checkpoint{why} and figures up to step {end}, which beginning anew would lose; put its "
            f"checkpoints back, or begin with all of it put aside: resume={folder} with restart=true"
        )


def _cut_back(run: Run, folder: Path, eval_bytes: int) -> None:
    """Take out of a run's folder what was written after the checkpoint, so that going on writes it again."""
    history, episodes = run.logger.history, folder / EVAL_EPISODES
    if _holds_more(folder, history, eval_bytes):
        copy_aside(folder, [METRICS, *LISTS], f"t_{reached(folder)}")
    write_whole(folder / METRICS, lambda path: path.write_text(json.dumps(history)))
    if eval_bytes > 0:
        os.truncate(episodes, eval_bytes)
        flush(episodes)
    else:
        episodes.unlink(missing_ok=True)  # its header is written with its first row
    earlier = [int(path.name[2:]) for path in checkpoints_in(folder / CHECKPOINTS)]
    forget_others(run, folder, before=max((t for t in earlier if t < run.t_env), default=-1))
    cut_episodes(folder / REPLAY, end=run.experience.inserted)


def _holds_more(folder: Path, history: Mapping[str, Any], eval_bytes: int) -> bool:
    """Say whether a folder holds figures that a checkpoint's history does not."""
    episodes, metrics = folder / EVAL_EPISODES, folder / METRICS
    if (folder / ABSOLUTE_EPISODES).exists() or (episodes.exists() and episodes.stat().st_size > eval_bytes):
        return True
    try:
        return any(
            len(series["steps"]) > len(history.get(name, {"steps": ()})["steps"])
            for name, series in json.loads(metrics.read_text()).items()
        )
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True  # damaged, and perhaps worth a look
