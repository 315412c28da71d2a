"""What gymma's adapter adds to a step of somebody's environment, in microseconds per agent.

    taskset -c 0 python benchmarks/door.py

Plays simple spread, and environments that do nothing, in turn by themselves (`step` with a dict of actions, and
`state()` where the adapter takes the environment's own) and through the adapter with all that a runner asks of it,
block after block, so that a slow minute of the machine hits both. The same actions, one episode without an end, no
networks. Times are the thread's own on the core, which what else the machine does lengthens by emptied caches alone;
what the adapter adds is the median over pairs of blocks that follow each other, with the quartiles behind it.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from answers import command
from gymnasium import spaces
from pettingzoo import ParallelEnv

from envs import make_env

SPREAD, IDLE, LIMIT = "pz-mpe-simple-spread-v3", "door:Idle", 10**9
SETTINGS = {
    "time_limit": LIMIT, "common_reward": True, "reward_scalarisation": "sum", "mask_in_obs": False, "info_sums": None,
    "remake": "auto",
}  # fmt: skip


class Idle(ParallelEnv):
    """N agents with `size` numbers to see and five actions: a step does nothing, or as much as adding numbers takes."""

    metadata = {"name": "idle_v0"}  # noqa: RUF012

    def __init__(self, n: int = 3, size: int = 18, numbers: int = 0) -> None:
        self._numbers = numbers
        self.possible_agents = [f"agent_{i}" for i in range(n)]
        self.agents = list(self.possible_agents)
        self._seen = {agent: np.zeros(size, np.float32) for agent in self.agents}
        self._told = [dict.fromkeys(self.agents, told) for told in (0.0, False, False)]
        self._infos: dict[str, dict[str, float]] = {agent: {} for agent in self.agents}

    def observation_space(self, agent: str) -> spaces.Space:
        """Return a Box."""
        return spaces.Box(-1, 1, self._seen[agent].shape)

    def action_space(self, agent: str) -> spaces.Space:
        """Return five actions."""
        return spaces.Discrete(5)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        """Do nothing."""
        return self._seen, self._infos

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        """Add up."""
        sum(range(self._numbers))
        return self._seen, *self._told, self._infos


def players(key: str, kwargs: str, state: str) -> tuple[int, Callable[[int], float], Callable[[int], float]]:
    """Return the number of agents, and two functions that play so many steps and return the seconds of one."""
    env, other = (make_env("gymma", {"key": key, "kwargs": kwargs, "state": state} | SETTINGS) for _ in range(2))
    for each in (env, other):
        each.reset(1)
    bare = other._game.env  # the same environment, without what is measured
    drawn = np.random.default_rng(1).integers(5, size=(500, env.info.n_agents))
    names = [dict(zip(bare.possible_agents, actions, strict=True)) for actions in drawn.tolist()]

    def alone(steps: int) -> float:
        began = time.thread_time()
        for step in range(steps):
            bare.step(names[step % len(names)])
            if state == "auto":
                bare.state()
        return (time.thread_time() - began) / steps

    def adapted(steps: int) -> float:
        began = time.thread_time()
        for step in range(steps):
            env.step(drawn[step % len(drawn)])
            env.get_obs(), env.get_state(), env.get_avail_actions()
        env._taken.clear()  # an episode's actions are kept to repeat it; this one has no end
        return (time.thread_time() - began) / steps

    return env.info.n_agents, alone, adapted


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=400)
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    args = parser.parse_args()
    tasks = [("simple spread", SPREAD, "{}", state) for state in ("auto", "concat")]
    tasks += [(f"nothing, {n} agents", IDLE, f'{{"n": {n}}}', "concat") for n in (1, 3, 10, 30)]
    print("| environment | state | alone, µs a step | adapter adds, µs per agent and step |\n|---|---|---|---|")
    for name, key, kwargs, state in tasks:
        n, alone, adapted = players(key, kwargs, state)
        bare, both = np.array([(alone(args.steps), adapted(args.steps)) for _ in range(args.blocks)]).T
        low, middle, high = np.quantile(1e6 * (both - bare) / n, (0.25, 0.5, 0.75))
        added = f"{middle:.1f} ({low:.1f} to {high:.1f})"
        print(f"| {name} | {state} | {1e6 * np.median(bare):.0f} | {added} |", flush=True)


if __name__ == "__main__":
    command(main)
