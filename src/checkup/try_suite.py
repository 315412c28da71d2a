"""Make an environment of one registered suite, play a few steps and draw it; `doctor.py` runs this once per suite.

What comes of it goes to stdout, one JSON pair per line; what the suite itself prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

SRC = Path(__file__).parents[1]
if __package__ in (None, ""):  # run as a file: the rooms lie one folder up
    sys.path[0] = str(SRC)

from envs import make_env  # noqa: E402
from envs.action_spaces import random_actions  # noqa: E402
from envs.multiagentenv import MultiAgentEnv  # noqa: E402
from settings import resolve  # noqa: E402
from utils.errors import RunFailedError, UserError  # noqa: E402

CONFIG_DIR = SRC / "config"
STEPS = 3


def try_suite(name: str, words: Sequence[str], tell: Callable[[str, str], None]) -> None:
    """Play with the settings of the suite's config but for `words`, then draw; tell how far it came."""
    try:
        env = make_env(name, resolve("qmix", name, dict(word.split("=", 1) for word in words), CONFIG_DIR)["env_args"])
        try:
            _play(env)
            info = env.info
            acts = "numbers as action" if info.action_space.kind == "continuous" else "actions"
            tell("plays", f"{info.n_agents} agents, {info.n_actions} {acts}, a state of {info.state_size}")
            _draw(env, tell)
        finally:
            env.close()
    except (UserError, RunFailedError) as why:
        tell("refused", str(why))


def _play(env: MultiAgentEnv) -> None:
    env.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        actions = random_actions(env.info.action_space, env.get_avail_actions(), rng)
        _, terminated, truncated, _ = env.step(actions)
        if terminated or truncated:
            env.reset(1)


def _draw(env: MultiAgentEnv, tell: Callable[[str, str], None]) -> None:
    if type(env).render is MultiAgentEnv.render:
        tell("draws nothing", "")
        return
    try:
        height, width, _ = env.render().shape
    except UserError as why:
        tell("cannot be drawn", str(why))
    else:
        tell("draws", f"{width} x {height}")


def main() -> None:
    """Try the suite that the command line names, with the settings behind it."""
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        try_suite(sys.argv[1], sys.argv[2:], lambda what, text: print(json.dumps([what, text]), file=told, flush=True))


if __name__ == "__main__":
    main()
