"""All that a run needs to go on as if it had never stopped: written at a checkpoint, taken up from it.

A checkpoint is taken between two rounds. Besides weights, targets, optimiser and counters it holds the states of all
generators and every figure logged so far; replay lies beside the checkpoints, and each adds what came since the one
before. What the last two need of it stays, should the last one be damaged. Environments need nothing: an episode is
drawn from its number alone (`training.seeding`). `going_on` chooses the checkpoint, and what becomes of the rest.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runners.base_runner import EpisodeResult
from training.absolute import forget_others
from training.aside import forget_measured_again
from training.assembly import Run, load_learner, run_numbers
from training.checkpoint import CHECKPOINTS, forget_checkpoints, load_checkpoint, save_checkpoint
from training.evaluation import EVAL_EPISODES
from training.replay_files import add_episodes, forget_episodes, read_episodes
from utils.errors import UserError
from utils.files import flush, writing
from utils.random_state import random_numbers, random_tensors, restore_random

REPLAY = "replay"
FIGURES = "figures.json"  # those of `metrics.json` at a checkpoint; by that name it would pass for a run


def save(run: Run, folder: Path) -> Path:
    """Write a checkpoint into the run's folder and return where; one that dies on the way has the one before.

    All that it relies on is on the disk before it gets its name, and nothing is removed before that. Raises
    `NotFiniteError` instead where weights have gone bad.
    """
    run.learner.check_finite()
    experience, replay, checkpoints = run.experience, folder / REPLAY, folder / CHECKPOINTS
    numbers = run_numbers(run) | {"resume": _resume_numbers(run, folder)}
    tensors = run.learner.state_tensors() | random_tensors()
    if run.overlap is not None:
        tensors |= run.overlap.state_tensors()
    figures = {FIGURES: json.dumps(run.logger.history)}
    with writing(folder):
        first = max(run.replay_saved, experience.oldest)
        add_episodes(replay, first, experience.since(first))
        for path in (folder / EVAL_EPISODES, folder):
            if path.exists():
                flush(path)
        path = save_checkpoint(checkpoints, run.t_env, tensors, numbers, figures)
        if run.args.keep_checkpoints is not None:
            forget_checkpoints(checkpoints, run.args.keep_checkpoints)
        forget_episodes(replay, below=run.replay_needed)
        forget_others(run, folder, before=run.saved_at)
        forget_measured_again(folder, run.logger.history)
    run.replay_saved, run.replay_needed = experience.inserted, experience.oldest
    run.saved_at = run.t_env
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
    if run.overlap is not None:
        run.overlap.restore(tensors)
    run.logger.history = figures
    run.replay_saved, run.replay_needed = inserted, run.experience.oldest
    run.saved_at = run.t_env
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
