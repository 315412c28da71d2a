"""How long an update of each value method takes beside QMIX's, on the same batch; also policies', and with settings.

    python benchmarks/methods.py --rounds 15
    python benchmarks/methods.py --rounds 15 --algs mappo mappo:share_parameters=false
    python benchmarks/methods.py --rounds 15 --updates 4 --algs qmix mmsa mmsa:wm_interval=4

Learners take turns, one update at a time or as many as told, so that a slow moment of the machine hits all; ratios are
medians over rounds. Times are those of the processor, on one thread: other programs disturb them little.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch as th
from answers import command
from common import SHAPES, Shape, make_batch, make_learner, update_on

from components.episode_batch import EpisodeBatch
from utils.memory import keep_freed_memory

ALGS = (
    "qmix", "vdn", "iql", "qplex", "ow_qmix", "cw_qmix", "qtran", "cia", "maser", "smmae", "hpn_qmix", "hpn_vdn",
    "set_qmix", "mbvd", "mmsa", "mmsa_hpn",
)  # fmt: skip


def update_of(asked: str, shape: Shape, batch: EpisodeBatch) -> Callable[[], object]:
    """Return the update of a config, or of a `config:setting=value,…`."""
    config, _, given = asked.partition(":")
    settings = dict(word.split("=", 1) for word in given.split(",") if word)
    return update_on(make_learner(config, shape, "cpu", **settings), batch)


def main() -> None:
    """Read the command line, measure in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said = "configs, or config:setting=value,…; the first is what the others are divided by"
    parser.add_argument("--algs", nargs="+", default=ALGS, help=said)
    parser.add_argument("--shape", choices=SHAPES, default="lbf")
    parser.add_argument("--batch-size", type=int, default=64, help="episodes, each as long as the task allows")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=1, help="of each turn: more for those that differ in turn")
    args = parser.parse_args()
    keep_freed_memory()
    th.set_num_threads(1)
    batch = make_batch(SHAPES[args.shape], args.batch_size)
    updates = {alg: update_of(alg, SHAPES[args.shape], batch) for alg in args.algs}
    took: dict[str, list[float]] = {alg: [] for alg in updates}
    for number in range(args.rounds + 2):
        for alg, update in updates.items():
            start = time.process_time()
            for _ in range(args.updates):
                update()
            if number >= 2:  # the first ones warm up
                took[alg].append((time.process_time() - start) / args.updates)
    print(f"{args.shape}: {args.batch_size} episodes, one thread, processor time\n")
    print(f"| method | beside {args.algs[0]} | ms |\n|---|---|---|")
    for alg, seconds in took.items():
        ratio = median(each / first for each, first in zip(seconds, took[args.algs[0]], strict=True))
        print(f"| `{alg}` | {ratio:.2f} | {1e3 * median(seconds):.0f} |")


if __name__ == "__main__":
    command(main)
