"""What a step of every suite takes in replay, and what the shipped settings come to when replay is full.

    python benchmarks/bytes_per_step.py --json docs/measurements/figures/bytes.json

Environments are made, not played. Packages that are not here are passed over, and named.
"""

import argparse
from pathlib import Path
from typing import Any

import torch as th
from answers import command
from common import CONFIG_DIR
from recorded import record

from components.episode_batch import episode_scheme, lay_out
from envs import make_env
from envs.multiagentenv import EnvInfo
from runners.base_runner import torch_dtype
from settings import resolve
from utils.errors import UserError

TASKS = {
    "lbf": ("lbf", "env_args.key", ("Foraging-2s-10x10-3p-3f-v3", "Foraging-15x15-8p-5f-v3")),
    "smax": ("smax", "env_args.map_name", ("3m", "3s5z", "27m_vs_30m", "smacv2_5_units", "smacv2_20_units")),
    "overcooked": ("overcooked", "env_args.layout", ("cramped_room",)),
    "mamujoco": ("mamujoco", "env_args.scenario", ("HalfCheetah",)),
    "gymma": ("gymma", "env_args.key", ("pz-mpe-simple-spread-v3", "rware:rware-tiny-4ag-v2")),
    "vmas": ("gymma", "env_args.key", ("vmas-balance",)),
    "flatland": ("flatland", "env_args.trains", ("5", "20")),
    "matrix_game": ("matrix_game", "env_args.key", ("one_step", "two_step")),
}


def record_bytes(info: EnvInfo, state_of_obs: bool, float_dtype: th.dtype | None) -> int:
    """Return the bytes of a step's record."""
    scheme = episode_scheme(
        obs_size=info.obs_size, state_size=info.state_size, n_actions=info.n_actions,
        obs_dtype=torch_dtype(info.obs_dtype), state_dtype=torch_dtype(info.state_dtype),
        action_size=info.action_space.size, continuous=info.action_space.kind == "continuous",
        n_rewards=info.n_rewards, state_of_obs=state_of_obs, float_dtype=float_dtype,
    )  # fmt: skip
    return lay_out(scheme, {"agents": info.n_agents})[1]


def measured(env_config: str, words: dict[str, str]) -> dict[str, Any]:
    """Return a task's sizes."""
    settings = resolve("qmix", env_config, words, CONFIG_DIR)
    env = make_env(settings["env"], settings["env_args"])
    info = env.info
    env.close()
    now, half = (record_bytes(info, info.state_of_obs, dtype) for dtype in (None, th.float16))
    return {
        "agents": info.n_agents, "steps": info.episode_limit, "bytes": now, "float16": half,
        "state_twice": record_bytes(info, False, None), "episodes": settings["buffer_size"],
        "full": now * (info.episode_limit + 1) * settings["buffer_size"],
    }  # fmt: skip


def main() -> None:
    """Print a line for every task, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for suite in args.suites:
        env_config, key, tasks = TASKS[suite]
        for task in tasks:
            name = f"{suite} {key.rpartition('.')[2]}={task}" if task.isdigit() else f"{suite} {task}"
            try:
                found[name] = told = measured(env_config, {key: task})
            except UserError as why:
                print(f"{name}: left out ({why})")
                continue
            print(
                f"{name}: {told['bytes']} bytes a step ({told['float16']} in half precision, "
                f"{told['state_twice']} with a state of its own), {told['full'] / 1e9:.2f} GB when "
                f"{told['episodes']} episodes of {told['steps']} steps are full",
                flush=True,
            )
    if args.json is not None:
        record(args.json, "bytes_per_step", {"tasks": found})


if __name__ == "__main__":
    command(main)
