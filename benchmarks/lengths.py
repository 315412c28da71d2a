"""What an update costs where episodes differ in length, and what the two matrix products make of it.

    python benchmarks/lengths.py --product plain
    python benchmarks/lengths.py --product onednn

One algorithm after the other; each process tries one product, for memory that was taken stays.
"""

import argparse
import resource
import time
from typing import Any

import numpy as np
import torch as th
from answers import command
from common import SHAPES, make_batch, make_learner

from modules import linear
from utils.memory import keep_freed_memory

EPISODES, SHORTEST, UPDATES, WARM_UP = 32, 5, 60, 5


def cpu_seconds(learner: Any, batches: list[Any]) -> float:
    """Return the processor's time for an update, the mean over batches."""
    start = time.process_time()
    for batch in batches:
        learner.train(batch, 1, 1)
    return (time.process_time() - start) / len(batches)


def main() -> None:
    """Time updates on full episodes, and on episodes of 5 to T steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", choices=("plain", "onednn"), required=True)
    parser.add_argument("--shape", choices=SHAPES, default="lbf")
    parser.add_argument("--algs", nargs="+", default=["qmix", "mmsa"])
    parser.add_argument("--updates", type=int, default=UPDATES)
    args = parser.parse_args()
    th.set_num_threads(1)
    keep_freed_memory()
    linear.ONE_DNN = linear.one_dnn() if args.product == "onednn" else None
    shape, rng = SHAPES[args.shape], np.random.default_rng(0)
    for alg in args.algs:
        learner = make_learner(alg, shape, "cpu", learner_log_interval=10**9)
        full = make_batch(shape, EPISODES)
        cpu_seconds(learner, [full] * WARM_UP)
        lengths = [rng.integers(SHORTEST, shape.T + 1, EPISODES) for _ in range(args.updates)]
        rows = float(np.mean([each.sum() + EPISODES for each in lengths]))
        told = (
            ("full", EPISODES * (shape.T + 1), cpu_seconds(learner, [full] * args.updates)),
            ("varying", rows, cpu_seconds(learner, [make_batch(shape, EPISODES, each) for each in lengths])),
        )
        for name, n_rows, seconds in told:
            print(f"{alg}, {name}: {1e3 * seconds:.1f} ms an update, {1e6 * seconds / n_rows:.1f} µs a row")
        print(f"{alg}: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    command(main)
