"""How an update's time and memory grow with the number of agents and with the length of episodes.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --axis agents --state fixed --algs qmix mmsa

Fits time ~ size^exponent by least squares on the logarithms. Along the agents' axis observations grow with the team, as
they do where each agent sees the others, and the state is what most people have: all observations in a row, as on LBF
and on every task of Gymnasium and PettingZoo. With `--state fixed` it keeps 216 numbers. Along the steps' axis it is
3s5z's shape with 3 agents.

Each measurement is a process of its own, whose largest memory is given, what Python and Torch take included. With one
thread on a CPU times are processor times, which other programs disturb little. An update of `dmawm` is its model step,
drawing segments included, and its behaviour step.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch as th
from answers import command
from common import SHAPES, Shape, make_batch, make_learner, seconds, update_on
from dream_step import make_replay, steps_of

from utils.memory import keep_freed_memory

BASE = SHAPES["3s5z"]
SIZES = {"agents": (3, 8, 27, 75, 100), "steps": (50, 150, 400)}
OBSERVATIONS = {3: 60, 8: 128, 27: 285, 75: 500, 100: 600}  # numbers that one has, with so many agents
DREAM_STEPS = ("segments", "model step", "behaviour step")


def shape_of(axis: str, size: int, state: str) -> Shape:
    """Return 3s5z's shape with another number of steps, or of agents and what they see."""
    if axis == "steps":
        return BASE._replace(T=size, N=3)
    obs_size = OBSERVATIONS.get(size, BASE.obs_size)
    state_size = size * obs_size if state == "observations" else BASE.state_size
    return BASE._replace(N=size, T=50, obs_size=obs_size, state_size=state_size)


def update_of(alg: str, shape: Shape, args: argparse.Namespace) -> Callable[[], object]:
    """Return an update of an algorithm on random episodes of a shape."""
    learner = make_learner(alg, shape, args.device, **dict(setting.split("=", 1) for setting in args.settings))
    if learner.EXPERIENCE == "segments":
        steps = steps_of(learner, make_replay(shape, args.batch_size))
        return lambda: [steps[name]() for name in DREAM_STEPS]
    return update_on(learner, make_batch(shape, args.batch_size).to(args.device))


def measure(alg: str, axis: str, size: int, args: argparse.Namespace) -> None:
    """Print the seconds of an update, and the largest memory of this process in MiB, as JSON."""
    th.set_num_threads(args.threads)
    keep_freed_memory()
    clock = time.process_time if (args.device, args.threads) == ("cpu", 1) else time.perf_counter
    update = update_of(alg, shape_of(axis, size, args.state), args)
    took = seconds(update, args.device, args.repeats, warm_up=1, clock=clock)
    if args.device == "cuda":
        memory = th.cuda.max_memory_allocated() / 2**20
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps([took, memory]))


def measured(alg: str, axis: str, size: int) -> tuple[float, float]:
    """Return what `measure` prints in a process of its own."""
    again = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--measure", alg, axis, str(size)]
    done = subprocess.run(again, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)  # which it has explained
    took, memory = json.loads(done.stdout.splitlines()[-1])
    return took, memory


def main() -> None:
    """Read the command line, measure along the axes, fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algs", nargs="+", default=["qmix", "mmsa", "mappo", "dmawm"], help="configs")
    parser.add_argument("--axis", choices=SIZES, nargs="+", default=["agents"])
    parser.add_argument("--sizes", type=int, nargs="+", help="other numbers of agents, or of steps")
    parser.add_argument("--state", choices=("observations", "fixed"), default="observations")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8, help="episodes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--settings", nargs="+", default=[], metavar="NAME=VALUE", help="of the learners")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        alg, axis, size = args.measure
        measure(alg, axis, int(size), args)
        return
    for alg in args.algs:
        for axis in args.axis:
            sizes = args.sizes or SIZES[axis]
            times, memories = zip(*(measured(alg, axis, size) for size in sizes), strict=True)
            each = zip(sizes, times, memories, strict=True)
            said = ", ".join(f"{size}: {1e3 * took:.0f} ms {memory:.0f} MiB" for size, took, memory in each)
            exponent = f"; exponent {np.polyfit(np.log(sizes), np.log(times), 1)[0]:.2f}" if len(sizes) > 1 else ""
            print(f"{alg}, {axis} {said}{exponent}", flush=True)


if __name__ == "__main__":
    command(main)
