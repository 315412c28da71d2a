"""All that a run needs to go on as if it had never stopped: written at a checkpoint, taken up from it.

A checkpoint is taken between two rounds. Besides weights, targets, optimiser and counters it holds the states of all
generators and every figure logged so far; replay lies beside the checkpoints, and each adds what came since the one
before. What the last two need of it stays, should the last one be damaged. Environments need nothing: an episode is
drawn from its number alone (`training.seeding`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs import check_archived
from runners.base_runner import EpisodeResult
from settings import read_info, read_json
from training.absolute import forget_others
from training.assembly import Run, build, load_learner, run_numbers
from training.checkpoint import CHECKPOINTS, forget_checkpoints, last_checkpoint, load_checkpoint, save_checkpoint
from training.evaluation import EVAL_EPISODES
from training.replay_files import add_episodes, cut_episodes, forget_episodes, read_episodes
from utils.errors import UserError
from utils.files import write_whole, writing
from utils.random_state import random_numbers, random_tensors, restore_random

REPLAY = "replay"
METRICS = "metrics.json"  # sacred's
FIGURES = "figures.json"  # the same at a checkpoint; by sacred's name, a checkpoint would pass for a run


def save(run: Run, folder: Path) -> Path:
    """Write a checkpoint into the run's folder and return where; one that dies on the way has the one before.

    Raises `NotFiniteError` instead where weights have gone bad.
    """
    run.learner.check_finite()
    experience, replay, checkpoints = run.experience, folder / REPLAY, folder / CHECKPOINTS
    numbers = run_numbers(run) | {"resume": _resume_numbers(run, folder)}
    tensors = run.learner.state_tensors() | random_tensors()
    figures = {FIGURES: json.dumps(run.logger.history)}
    with writing(folder):
        first = max(run.replay_saved, experience.oldest)
        add_episodes(replay, first, experience.since(first))
        path = save_checkpoint(checkpoints, run.t_env, tensors, numbers, figures)
        if run.args.keep_checkpoints is not None:
            forget_checkpoints(checkpoints, run.args.keep_checkpoints)
        forget_episodes(replay, below=run.replay_needed)
        forget_others(run, folder)
    run.replay_saved, run.replay_needed = experience.inserted, experience.oldest
    return path


def _resume_numbers(run: Run, folder: Path) -> dict[str, Any]:
    episodes = folder / EVAL_EPISODES
    return {
        "due": {name: every.last for name, every in run.due.items()},
        "recent": [asdict(result) for result in run.recent],
        "eval_episodes_bytes": episodes.stat().st_size if episodes.exists() else 0,
        "replay": {name: getattr(run.experience, name) for name in ("oldest", "inserted")}
        | {"rng": run.experience.rng_state()},
        "random": random_numbers(),
    }


def restore(run: Run, folder: Path, checkpoint: Path) -> int:
    """Bring a newly built run to where its checkpoint left it; return how long its list of episodes was then, in bytes.

    Raises `UserError` where the checkpoint or the replay cannot be read. Changes no file.
    """
    tensors, numbers = load_checkpoint(checkpoint)
    load_learner(run, checkpoint, tensors, {key: value for key, value in numbers.items() if key != "resume"})
    state = numbers.get("resume")
    try:
        figures = json.loads((checkpoint / FIGURES).read_text())
        oldest, inserted, rng = (state["replay"][name] for name in ("oldest", "inserted", "rng"))
        run.experience.restore(inserted, read_episodes(folder / REPLAY, oldest, inserted), rng)
        run.recent = [EpisodeResult(**result) for result in state["recent"]]
        for name, every in run.due.items():
            every.last = state["due"][name]
        run.generators = ({name: tensors[name] for name in tensors if name.startswith("rng.")}, state["random"])
        restore_random(*run.generators)  # a trial: training does it again
        length = state["eval_episodes_bytes"]
        _refuse_other_forms(run, folder, figures, length)
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as why:
        reason = str(why).partition("\n")[0]
        raise UserError(
            f"the checkpoint {checkpoint} lacks what a run needs to go on ({reason}); start a new one from its "
            "weights: with checkpoint_path=..."
        ) from why
    run.logger.history = figures
    run.replay_saved, run.replay_needed = inserted, run.experience.oldest
    return length


def _refuse_other_forms(run: Run, folder: Path, figures: Any, eval_bytes: Any) -> None:
    """Raise ValueError for what reads well and is not what `save` writes."""
    numbers = [eval_bytes, *(every.last for every in run.due.values())]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("counters must be whole numbers")
    episodes = folder / EVAL_EPISODES
    if eval_bytes > (episodes.stat().st_size if episodes.exists() else 0):
        raise ValueError(f"{EVAL_EPISODES} is shorter than it was")
    for series in figures.values():
        columns = [series[name] for name in ("values", "steps", "timestamps")]
        if len({len(column) for column in columns}) > 1 or not all(type(t) is int for t in columns[1]):
            raise ValueError(f"{FIGURES} holds no figures")
    numbers = [
        number
        for r in run.recent
        for number in (r.length, r.episode_return, *r.info.values(), *(r.agent_returns or ()))
    ]
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("recent episodes must hold numbers")


def go_on(folder: Path, settings: Mapping[str, Any]) -> Run:
    """Return the run of a folder as its last checkpoint left it, or as it began if it has none yet.

    Raises `UserError` where it cannot be read, or has nothing left to do.
    """
    check_archived(settings["env"], settings["env_args"])
    read_info(folder)
    # where its own weights began is in its checkpoints
    run = build(settings | {"checkpoint_path": None, "checkpoint_transfer": False})
    try:
        checkpoint, eval_bytes = last_checkpoint(folder), 0
        if checkpoint is not None:
            eval_bytes = restore(run, folder, checkpoint)
        elif settings["checkpoint_path"] is not None:
            raise UserError(f"{folder} has no checkpoint yet: start it again")
        _refuse_few_steps(run, folder)
        with writing(folder):
            _cut_back(run, folder, eval_bytes)
    except BaseException:
        run.close()
        raise
    return run


def _refuse_few_steps(run: Run, folder: Path) -> None:
    """Refuse to go on where nothing would be trained: the run is done, or is to end before where it stands."""
    before, t_max = read_json(folder / "config.json")["t_max"], run.args.t_max
    done = read_json(folder / "run.json")["status"] == "COMPLETED"
    if run.t_env >= t_max and (done or t_max < before):
        has = f"has trained {run.t_env} steps" if t_max < before else f"has trained its {t_max} steps"
        raise UserError(f"{folder} {has}; to train on: resume={folder} with t_max=<more than {run.t_env}>")


def _cut_back(run: Run, folder: Path, eval_bytes: int) -> None:
    """Take out of a run's folder what was written after the checkpoint, so that going on writes it again."""
    write_whole(folder / METRICS, lambda path: path.write_text(json.dumps(run.logger.history)))
    if eval_bytes > 0:
        os.truncate(folder / EVAL_EPISODES, eval_bytes)
    else:
        (folder / EVAL_EPISODES).unlink(missing_ok=True)  # its header is written with its first row
    cut_episodes(folder / REPLAY, end=run.experience.inserted)
    forget_others(run, folder)
