"""How `runner=parallel` grows with its workers on an environment that takes long: steps per second of 1, 2, … workers.

    nice -n -5 python benchmarks/workers.py

Plays rounds of whole episodes with random actions of VDN's, in turn with each number of workers, so that a slow minute
of the machine hits all. The environment adds up numbers for some milliseconds a step.
"""

import argparse
import os
import time
from statistics import median

from answers import command
from common import CONFIG_DIR

from settings import resolve
from training.assembly import Run, build
from training.seeding import Stream, episode_streams


def speed(run: Run, number: int) -> float:
    """Return the steps per second of a round."""
    n = run.args.batch_size_run
    streams = [episode_streams(run.args.seed, Stream.TRAIN_EPISODE, number * n + slot) for slot in range(n)]
    began = time.perf_counter()
    _, results = run.runner.run(run.mac, streams, 1.0)
    return sum(result.length for result in results) / (time.perf_counter() - began)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="the first is what others are divided by"
    )
    parser.add_argument("--numbers", type=int, default=200_000, help="which the environment adds up in a step")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    settings = {
        "env_args.key": "door:Idle", "env_args.kwargs.numbers": str(args.numbers), "env_args.time_limit": "50",
        "runner": "parallel", "seed": "1", "device": "cpu",
    }  # fmt: skip
    runs = [build(resolve("vdn", "gymma", settings | {"batch_size_run": str(n)}, CONFIG_DIR)) for n in args.workers]
    speeds = [[speed(run, number) for run in runs] for number in range(args.rounds + 1)][1:]
    for run in runs:
        run.close()
    print(f"{len(os.sched_getaffinity(0))} cores")
    for place, n in enumerate(args.workers):
        ratio = median(each[place] / each[0] for each in speeds)
        print(f"{n} workers: {median(each[place] for each in speeds):.0f} steps/s, {ratio:.2f} times the first")


if __name__ == "__main__":
    command(main)
