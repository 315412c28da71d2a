"""How long an update of each value method takes beside QMIX's, on the same batch.

    python benchmarks/methods.py --rounds 15

Learners take turns, update by update, so that a slow moment of the machine hits all; ratios are medians over rounds.
"""

import argparse
import time
from statistics import median

import torch as th
from answers import command
from common import SHAPES, make_batch, make_learner

from utils.memory import keep_freed_memory

ALGS = (
    "qmix", "vdn", "iql", "qplex", "ow_qmix", "cw_qmix", "qtran", "cia", "maser", "smmae", "hpn_qmix", "set_qmix",
    "mbvd", "mmsa", "mmsa_hpn",
)  # fmt: skip


def main() -> None:
    """Read the command line, measure in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algs", nargs="+", default=ALGS, help="configs; the first is what the others are divided by")
    parser.add_argument("--shape", choices=SHAPES, default="lbf")
    parser.add_argument("--batch-size", type=int, default=64, help="episodes, each as long as the task allows")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    keep_freed_memory()
    th.set_num_threads(1)
    batch = make_batch(SHAPES[args.shape], args.batch_size)
    learners = {alg: make_learner(alg, SHAPES[args.shape], "cpu") for alg in args.algs}
    took: dict[str, list[float]] = {alg: [] for alg in learners}
    for number in range(args.rounds + 2):
        for alg, learner in learners.items():
            start = time.perf_counter()
            learner.train(batch, 1, 1)
            if number >= 2:  # the first ones warm up
                took[alg].append(time.perf_counter() - start)
    print(f"{args.shape}: {args.batch_size} episodes, one thread\n")
    print(f"| method | beside {args.algs[0]} | ms |\n|---|---|---|")
    for alg, seconds in took.items():
        ratio = median(each / first for each, first in zip(seconds, took[args.algs[0]], strict=True))
        print(f"| `{alg}` | {ratio:.2f} | {1e3 * median(seconds):.0f} |")


if __name__ == "__main__":
    command(main)
