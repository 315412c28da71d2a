"""The one training loop: play a round, learn, log, evaluate, save.

Episodes, evaluations and Torch draw from streams of the run's one seed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from components.episode_batch import EpisodeBatch
from runners.base_runner import EpisodeResult
from training.assembly import Run
from training.evaluation import evaluate, evaluation_due, keep_if_best, log_results
from training.room import disk_folder
from training.seeding import Stream, episode_streams
from utils.errors import RunFailedError
from utils.files import writing
from utils.logging import Console, describe_shares
from utils.random_state import restore_random
from utils.stopping import Stopped, StopRequest


def train(run: Run, folder: Path, console: Console, save: Callable[[Run, Path], object], stop: StopRequest) -> None:
    """Train until `t_max`: play a round, learn, log, evaluate, save.

    Asked to stop, it leaves the round or the evaluation that is being played, saves where it was before, and raises
    `Stopped`: going on from there plays it again, the same. An update is finished first.
    """
    started = (time.monotonic(), run.t_env)
    run.clock.restart()
    if run.generators is not None:
        restore_random(*run.generators)  # here, because sacred seeds all of them when it starts a run
    if not run.logger.history:
        _warn_of_a_late_start(run, console)
    try:
        _evaluate_and_save(run, folder, console, save)
        while run.t_env < run.args.t_max:
            with _saved_at_a_fault(run, folder, save):
                play_round(run)
            if run.overlap is None:
                learn(run)
            if run.due["log"].is_due(run.t_env):
                log_training(run, console, started)
                run.due["log"].done(run.t_env)
            stop.check()
            _evaluate_and_save(run, folder, console, save)
            console.advance(run.t_env, run.clock.shares(), run.logger.latest.get("test_return_mean"))
            stop.check()
    except Stopped as stopped:
        if run.args.save_model and run.saved_at != run.t_env and not stopped.at_once:
            save(run, folder)
        console.say(f"t_env {run.t_env}: stopped by {stopped}" + (", at once" if stopped.at_once else ""))
        raise


def _evaluate_and_save(run: Run, folder: Path, console: Console, save: Callable[[Run, Path], object]) -> None:
    """Do what is due between two rounds, or was when a stop came: so it is asked for before the first round too."""
    if evaluation_due(run):
        with _saved_at_a_fault(run, folder, save):
            evaluate(run, folder, console)
        keep_if_best(run, folder)
        run.due["test"].done(run.t_env)
        run.saved_at = -1
    at_the_end = run.t_env >= run.args.t_max and run.saved_at != run.t_env
    if run.args.save_model and (at_the_end or run.due["save"].is_due(run.t_env)):
        run.due["save"].done(run.t_env)
        save(run, folder)


@contextmanager
def _saved_at_a_fault(run: Run, folder: Path, save: Callable[[Run, Path], object]) -> Iterator[None]:
    """Write a checkpoint, if there are to be any, before a round or an evaluation that failed ends the run.

    Nothing of it was taken: going on from there plays it again.
    """
    try:
        yield
    except RunFailedError:
        if run.args.save_model and run.saved_at != run.t_env > 0:
            save(run, folder)
        raise


def _warn_of_a_late_start(run: Run, console: Console) -> None:
    """Say so when long episodes may fill no batch before the run ends: it would learn nothing, and quietly."""
    args, limit = run.args, run.runner.info.episode_limit
    if run.learner.EXPERIENCE != "replay":
        return
    if args.batch_size * limit > args.t_max - run.t_env:
        console.say(
            f"warning: learning starts with {args.batch_size} episodes (batch_size), which may take "
            f"{args.batch_size * limit} steps of the {args.t_max - run.t_env} that the run has; take a smaller "
            "batch_size, or a larger t_max"
        )


def learn(run: Run) -> None:
    """Let the learner learn from what has been experienced."""
    run.learner.learn(run.experience, run.t_env, run.episode)
    run.clock.lap("learn")


def play_round(run: Run) -> None:
    """Play one training episode per environment into what the learner learns from.

    With `overlap`, what the rounds before have brought is learnt from meanwhile.
    """
    if run.overlap is None:
        batch, results = _played(run, run.mac)
    else:
        due = run.experience.inserted > 0
        learn_meanwhile = partial(run.learner.learn, run.experience, run.t_env, run.episode) if due else None
        batch, results = run.overlap.round(partial(_played, run), learn_meanwhile)
        run.clock.lap("learn")  # what was waited for it
    with writing(disk_folder(run.args)):  # where buffer_device=disk has replay
        run.experience.insert_episode_batch(batch)
    run.learner.note_episodes(batch)
    run.recent += results
    run.t_env += sum(result.length for result in results)
    run.episode += len(results)
    if "first_return_t" not in run.logger.history and any(result.episode_return > 0 for result in results):
        run.logger.log_stat("first_return_t", run.t_env, run.t_env)
    run.clock.lap("batch")


def _played(run: Run, mac: Any) -> tuple[EpisodeBatch, list[EpisodeResult]]:
    """Let a controller play the episodes that come next."""
    numbers = range(run.episode, run.episode + run.args.batch_size_run)
    streams = [episode_streams(run.args.seed, Stream.TRAIN_EPISODE, number) for number in numbers]
    return run.runner.run(mac, streams, mac.epsilon(run.t_env, test_mode=False))


def log_training(run: Run, console: Console, started: tuple[float, int]) -> None:
    """Log the training episodes since the last time, ε, speed, the environments' numbers and the shares of time."""
    seconds, since = time.monotonic() - started[0], run.t_env - started[1]
    log_results(run, run.recent, prefix="")
    run.recent = []
    run.logger.log_stat("epsilon", float(np.mean(run.mac.epsilon(run.t_env, test_mode=False))), run.t_env)
    run.logger.log_stat("episode", run.episode, run.t_env)
    run.logger.log_stat("steps_per_second", since / seconds, run.t_env)
    for name, value in run.runner.get_stats().items():
        run.logger.log_stat(name, value, run.t_env)
    shares = run.clock.shares()
    for phase, share in shares.items():
        run.logger.log_stat(f"time_{phase}", share, run.t_env)
    if console.bar is None:
        left = (run.args.t_max - run.t_env) / (since / seconds)
        console.say(
            f"t_env {run.t_env} of {run.args.t_max}, return {run.logger.latest['return_mean']:.3f}, "
            f"{since / seconds:.0f} steps/s, {left / 60:.1f} min left, {describe_shares(shares)}"
        )
