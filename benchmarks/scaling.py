"""How an update's time grows with the number of agents and with the length of episodes.

    python benchmarks/scaling.py --threads 2

Fits time ~ size^exponent by least squares on the logarithms, and names the part that takes most at the largest size.
"""

import argparse
from functools import partial

import numpy as np
import torch as th
from answers import command
from common import SHAPES, Shape, make_batch, make_learner, seconds
from train_step import time_parts

from utils.memory import keep_freed_memory

BASE = SHAPES["3s5z"]
SIZES = {"agents": (3, 8, 27), "steps": (50, 150, 400)}


def shape_of(axis: str, size: int) -> Shape:
    """Return 3s5z's shape with another number of agents or steps."""
    return BASE._replace(N=size, T=50) if axis == "agents" else BASE._replace(T=size, N=3)


def main() -> None:
    """Read the command line, measure along both axes, fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    keep_freed_memory()
    th.set_num_threads(args.threads)
    for alg in ("qmix", "mmsa"):
        for axis, sizes in SIZES.items():
            times = []
            for size in sizes:
                shape = shape_of(axis, size)
                learner = make_learner(alg, shape, args.device)
                batch = make_batch(shape, args.batch_size).to(args.device)
                update = partial(learner.train, batch, 1, 1)
                times.append(seconds(update, args.device, args.repeats, warm_up=2))
            exponent = np.polyfit(np.log(sizes), np.log(times), 1)[0]
            parts = time_parts(learner, batch, args.device, args.repeats)
            largest = max(parts, key=parts.__getitem__)
            measured = ", ".join(f"{size}: {1e3 * took:.0f} ms" for size, took in zip(sizes, times, strict=True))
            share = parts[largest] / sum(parts.values())
            print(f"{alg}, {axis} {measured}; exponent {exponent:.2f}; most: {largest} ({share:.0%})", flush=True)


if __name__ == "__main__":
    command(main)
