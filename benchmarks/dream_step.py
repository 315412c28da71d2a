"""How long the steps of a world-model method take, each beside its operations and the machine's rate."""

import argparse
from collections.abc import Callable
from typing import Any

import torch as th
from common import SHAPES, Shape, make_batch, scheme_of, seconds
from operations import OperationCounter

from components.segments import SegmentReplay

EPISODES = 64  # in replay


def make_replay(shape: Shape, episodes: int = EPISODES) -> SegmentReplay:
    """Return replay with random episodes of a task's shape."""
    replay = SegmentReplay(scheme_of(shape), {"agents": shape.N}, episodes * shape.T, shape.T + 1, seed=0)
    replay.insert_episode_batch(make_batch(shape, episodes))
    return replay


def steps_of(learner: Any, replay: SegmentReplay) -> dict[str, Callable[[], object]]:
    """Return the steps by name; imagination is a part of a behaviour step."""
    segments, segment = learner.sample(replay)
    states = learner.world.observe(segment).states
    starts = learner.starts(segment, states)
    return {
        "segments": lambda: learner.sample(replay),
        "model step": lambda: learner.model_step(segments, segment),
        "imagination": lambda: learner.behaviour.imagine(learner.world, learner.encode, *starts),
        "behaviour step": lambda: learner.behaviour_step(segments, segment, states),
    }


def report_dreams(alg: str, learner: Any, args: argparse.Namespace, rate: float) -> None:
    """Print a line for each step, and how many environment steps a second learning alone allows."""
    settings, took = learner.args, {}
    print(f"\n{alg}: {settings.segments} segments of {settings.segment_length} rows, {settings.starts} starts, "
          f"{settings.horizon} steps, {settings.ppo_epochs} epochs (medians of {args.repeats})")  # fmt: skip
    for name, step in steps_of(learner, make_replay(SHAPES[args.shape])).items():
        took[name] = seconds(step, args.device, args.repeats, warm_up=2)
        with OperationCounter() as counter:
            step()
        gflop, share = counter.total / 1e9, counter.total / took[name] / rate
        print(f"  {name:20} {1e3 * took[name]:8.1f} ms {gflop:8.2f} GFLOP in matrix products, {share:.0%} of the rate")
    each = settings.model_steps * (took["segments"] + took["model step"])
    each += settings.behaviour_steps * took["behaviour step"]
    if settings.train_unit == "steps":
        print(f"  one round every {settings.train_interval} environment steps: at most "
              f"{settings.train_interval / each:.0f} of them a second")  # fmt: skip
    if args.device == "cuda":
        print(f"  peak memory {th.cuda.max_memory_allocated() / 2**20:.0f} MiB")
