"""How much of a simulator's own speed the vector runner keeps, for a batch of one's own: steps per second of both.

    nice -n -5 python benchmarks/own.py

Both play the worked example of docs/your-own-task.md with as many copies at once, in turn, round after round, so that
a slow minute of the machine hits both. The runner plays whole training episodes of VDN with random actions, into
episode batches; what choosing actions takes is not counted. By itself the simulator is stepped with actions drawn
beforehand, and begins again where an episode has ended.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from answers import command
from common import CONFIG_DIR, beside_bare

from envs import EnvBatch, env_path, make_batch_from_path
from settings import resolve
from training.assembly import build
from utils.memory import keep_freed_memory


def bare_player(batch: EnvBatch, n: int) -> Callable[[int], float]:
    """Return a function that steps the simulator at least so often, over all copies, and returns the seconds of one."""
    rng, slots = np.random.default_rng(0), range(n)
    drawn = rng.integers(batch.info.n_actions, size=(100, n, batch.info.n_agents))
    batch.reset(slots, slots)

    def play(steps: int) -> float:
        calls, start = -(-steps // n), time.perf_counter()
        for call in range(calls):
            told = batch.step(slots, drawn[call % len(drawn)])
            over = [slot for slot, outcome in enumerate(told) if outcome.terminated or outcome.truncated]
            if over:
                batch.reset(over, over)
        return (time.perf_counter() - start) / (calls * n)

    return play


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="envs.example_batch:Ring", help="module:Class of a MultiAgentEnv with a batch")
    parser.add_argument("--copies", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=41)
    args = parser.parse_args()
    keep_freed_memory()
    settings = {"env_args.env": args.env, "batch_size_run": str(args.copies), "seed": "1", "device": "cpu"}
    run = build(resolve("vdn", "own", settings, CONFIG_DIR))
    bare = bare_player(make_batch_from_path(env_path("own"), run.args.env_args, args.copies), args.copies)
    print(f"{args.env}, {args.copies} copies: {beside_bare(run, bare, args.rounds, epsilon=1.0)}")


if __name__ == "__main__":
    command(main)
