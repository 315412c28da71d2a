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

import numpy as np
from answers import command
from common import CONFIG_DIR, beside_bare

from envs.smax_battles import game, jax
from settings import resolve
from training.assembly import Run, build
from utils.memory import keep_freed_memory


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
    print(f"{args.map}, {args.battles} battles: {beside_bare(run, bare_player(run), args.rounds, args.epsilon)}")


if __name__ == "__main__":
    command(main)
