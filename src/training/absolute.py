"""The absolute metric (Gorsane et al., 2022): at the end of a run its best policy is evaluated again, on new episodes.

The best is the first with the highest `report_metric`. The evaluation that found it was lucky too, so what it scored
says too much. While a run trains, `best/t_<steps>` keeps its checkpoint: weights to look at or to begin from.
"""

import math
import shutil
from pathlib import Path

from training.assembly import Run
from training.checkpoint import load_checkpoint
from training.evaluation import BEST, episode_list, log_results, play_greedy
from training.seeding import Stream, episode_streams
from utils.errors import RunFailedError
from utils.files import writing
from utils.logging import Console, append_rows

ABSOLUTE_EPISODES = "absolute_episodes.csv"


def evaluate_best(run: Run, folder: Path, console: Console) -> None:
    """Let the learner take up the best checkpoint and play `absolute_factor` times `test_nepisode` greedy episodes.

    They are logged as `absolute_…` at the run's last step; the rows of `absolute_episodes.csv` give the checkpoint's.
    """
    t_best, args = best_step(run), run.args
    path = folder / BEST / f"t_{t_best}"
    if not path.exists():
        raise RunFailedError(f"{path}, the best checkpoint, is gone: there is nothing to make the absolute metric of")
    tensors, numbers = load_checkpoint(path)
    run.learner.load_state(tensors, numbers["learner"])
    count = args.absolute_factor * args.test_nepisode
    console.say(f"t_env {run.t_env}: playing {count} episodes with the best checkpoint, t_env {t_best}")
    streams = [episode_streams(run.eval_seed, Stream.ABSOLUTE_EPISODE, t_best, number) for number in range(count)]
    results = play_greedy(run, streams)
    log_results(run, results, prefix="absolute_")
    with writing(folder / ABSOLUTE_EPISODES):
        append_rows(folder / ABSOLUTE_EPISODES, *episode_list(run, t_best, results))
    mean = run.logger.latest["absolute_return_mean"]
    console.say(f"t_env {run.t_env}: absolute return {mean:.3f} over {len(results)} greedy episodes")


def best_step(run: Run, until: float = math.inf) -> int:
    """Return the environment steps of the best evaluation so far, the first of equals; -1 before the first one."""
    series = run.logger.history.get(run.args.report_metric, {"values": [], "steps": []})
    pairs = [pair for pair in zip(series["values"], series["steps"], strict=True) if pair[1] <= until]
    return max(pairs, key=lambda pair: pair[0], default=(0, -1))[1]


def forget_others(run: Run, folder: Path, before: int) -> None:
    """Delete what is neither the best checkpoint now nor was it at the steps `before`, and the absolute metric.

    Only when a run has just written a checkpoint, with one `before` that it may still go back to.
    """
    kept = {f"t_{best_step(run)}", f"t_{best_step(run, until=before)}"}
    for path in (folder / BEST).glob("t_*"):
        if path.name not in kept:
            shutil.rmtree(path)
    (folder / ABSOLUTE_EPISODES).unlink(missing_ok=True)
