"""What stepping VMAS's copies together gives: steps per second of n copies together, and in turn, and their ratio.

    python benchmarks/scenarios.py balance transport --copies 8 32

Both play in turn, round after round, with actions drawn beforehand, on one thread.
"""

import argparse
import statistics

import torch as th
from answers import command
from own import bare_player

from envs import EnvBatch, env_path, make_batch_from_path

GYMMA = {
    "common_reward": True, "reward_scalarisation": "sum", "state": "auto", "mask_in_obs": False, "info_sums": None,
    "remake": "auto",
}  # fmt: skip


def batch_of(scenario: str, kwargs: str, n: int) -> EnvBatch:
    """Return n copies."""
    env_args = {"key": f"vmas-{scenario}", "kwargs": kwargs, "time_limit": 100, **GYMMA}
    return make_batch_from_path(env_path("gymma"), env_args, n)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", help="balance, transport, ...")
    parser.add_argument("--copies", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    th.set_num_threads(1)
    for scenario in args.scenarios:
        for n in args.copies:
            players = [bare_player(batch_of(scenario, kwargs, n), n) for kwargs in ("{}", '{"together": false}')]
            rounds = [[1 / play(4 * n) for play in players] for _ in range(args.rounds)]
            together, in_turn = (statistics.median(each) for each in zip(*rounds, strict=True))
            ratio = statistics.median(one / other for one, other in rounds)
            print(f"{scenario}, {n} copies: {in_turn:.0f} steps/s in turn, {together:.0f} together, {ratio:.1f} times")


if __name__ == "__main__":
    command(main)
