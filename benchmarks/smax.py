"""How much of SMAX's own speed the vector runner keeps: its steps per second beside bare batched SMAX.

    python benchmarks/smax.py

Both play the same map with as many battles at once, in turn, round after round, so that a slow minute of the machine
hits both. The runner plays whole training episodes of QMIX with ε-random actions, into episode batches; what choosing
actions takes is not counted, and the last calls of a round, in which few battles still go on, are. Bare SMAX is the
package's own `step` under `jit` and `vmap`, which begins the next battle by itself, with any random actions, and
nothing is kept; it plays as many steps.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from answers import command
from common import CONFIG_DIR

from envs.smax_battles import game, jax
from settings import resolve
from training.assembly import Run, build
from training.seeding import Stream, episode_streams
from utils.memory import keep_freed_memory


def runner_round(run: Run, number: int, epsilon: float) -> tuple[int, float, float]:
    """Play one episode in every slot; return the steps, the seconds, and the seconds without choosing actions."""
    n = run.args.batch_size_run
    streams = [episode_streams(run.args.seed, Stream.TRAIN_EPISODE, number * n + slot) for slot in range(n)]
    run.clock.restart()
    _, results = run.runner.run(run.mac, streams, epsilon)
    took = sum(run.clock.seconds.values())
    return sum(result.length for result in results), took, took - run.clock.seconds["act"]


def bare_player(run: Run) -> Callable[[int], float]:
    """Return a function that plays at least so many steps of bare batched SMAX and returns the seconds per step."""
    env, n = game(**run.args.env_args).env, run.args.batch_size_run
    rng, shape = np.random.default_rng(0), (n, run.runner.info.n_agents)
    step = jax.jit(jax.vmap(env.step))
    keys = jax.random.split(jax.random.PRNGKey(0), n)
    _, state = jax.jit(jax.vmap(env.reset))(keys)

    def play(steps: int) -> float:
        nonlocal state
        calls, start = -(-steps // n), time.perf_counter()
        for _ in range(calls):
            actions = rng.integers(run.runner.info.n_actions, size=shape, dtype=np.int32)
            seen, state, *_ = step(keys, state, dict(zip(env.agents, actions.T, strict=True)))
            np.asarray(seen["world_state"])
        return (time.perf_counter() - start) / (calls * n)

    play(2 * n)  # compiles, once more for its own results
    return play


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="3s5z")
    parser.add_argument("--battles", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epsilon", type=float, default=1.0, help="share of random actions")
    args = parser.parse_args()
    keep_freed_memory()
    settings = {"env_args.map_name": args.map, "batch_size_run": str(args.battles), "seed": "1", "device": "cpu"}
    run = build(resolve("qmix", "smax", settings, CONFIG_DIR))
    bare = bare_player(run)
    runner_round(run, 0, args.epsilon)
    whole, without, alone = [], [], []
    for number in range(1, args.rounds + 1):
        steps, took, took_without = runner_round(run, number, args.epsilon)
        whole.append(took / steps)
        without.append(took_without / steps)
        alone.append(bare(steps))
        print(f"round {number}: {steps} steps, {1 / without[-1]:.0f} and {1 / alone[-1]:.0f} steps/s", flush=True)
    run.close()
    ratio = median(b / w for b, w in zip(alone, without, strict=True))
    print(
        f"{args.map}, {args.battles} battles: runner {1 / median(without):.0f} steps/s without networks "
        f"({1 / median(whole):.0f} with them), bare SMAX {1 / median(alone):.0f} steps/s, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    command(main)
