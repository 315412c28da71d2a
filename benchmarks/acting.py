"""What a step of play costs: environments, networks, and what the vector runner adds.

    python benchmarks/acting.py
"""

import argparse
import time

import torch as th
from answers import command
from common import CONFIG_DIR
from train_step import PartClock

from settings import resolve
from training.assembly import build
from training.loop import play_round

TASK = "Foraging-2s-10x10-3p-3f-v3"


def main() -> None:
    """Play rounds without learning and print where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    for alg in ("qmix", "mmsa"):
        run = build(resolve(alg, "lbf", {"env_args.key": TASK, "seed": "1", "device": "cpu"}, CONFIG_DIR))
        th.set_num_threads(args.threads)
        networks = PartClock("cpu")
        for verb in ("encode", "q_from_hidden"):
            networks.watch(run.mac.agent, verb, "networks")
        for _ in range(5):
            play_round(run)
        networks.seconds.clear()
        run.clock.restart()
        start, steps = time.perf_counter(), run.t_env
        for _ in range(args.rounds):
            play_round(run)
        took, steps = time.perf_counter() - start, run.t_env - steps
        in_envs, in_networks = run.clock.seconds["env"], networks.seconds["networks"]
        rest = took - in_envs - in_networks
        print(
            f"{alg}: {steps / took:.0f} steps/s without learning: environments {in_envs / took:.0%}, "
            f"networks {in_networks / took:.0%}, the rest {rest / took:.0%} ({1e6 * rest / steps:.1f} µs per step)"
        )
        run.close()


if __name__ == "__main__":
    command(main)
