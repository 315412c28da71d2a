"""A task of somebody's own, looked at before a run: what it is, what to change in it, which methods can learn there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envs import check_archived, make_env, place_of, trust, trusted_file
from envs.action_spaces import random_actions
from envs.multiagentenv import EpisodeLostError, MultiAgentEnv
from learners import METHODS, MIXED
from learners import REGISTRY as LEARNERS
from settings import resolve
from utils.errors import RunFailedError, UserError
from utils.naming import typed

CONFIG_DIR = Path(__file__).parents[1] / "config"
TEMPLATE = Path(__file__).parent / "templates" / "task_template.py"
FAULT = "fault.json"
SECONDS = 2.0  # of stepping, to measure the speed
KEYS = {"gymma": "key", "own": "env", "pymarl": "env"}  # how the setting that names a task is called


def look_at(env_config: str, name: str, settings: list[str]) -> list[str]:
    """Return what there is to say of a task, in lines; raise `UserError` for what has to be changed in it.

    `settings` are `env_args` as on a command line, without that word: `kwargs.N=5`, `time_limit=100`.
    """
    updates = {f"env_args.{KEYS[env_config]}": name}
    for word in settings:
        key, sign, value = word.partition("=")
        if not sign:
            raise UserError(
                f"{word!r} is no assignment: write kwargs.NAME=value or another of env_args without a space"
            )
        updates[f"env_args.{key.removeprefix('env_args.')}"] = value
    env_args = resolve("qmix", env_config, updates, CONFIG_DIR)["env_args"]
    began = time.perf_counter()
    env = make_env(env_config, env_args)
    try:
        lines = _told(env, time.perf_counter() - began)
        lines.append(f"speed: {_speed(env):.0f} steps/s with random actions in one environment")
    finally:
        env.close()
    return [*lines, *_methods(env)]


def _told(env: MultiAgentEnv, seconds: float) -> list[str]:
    info, space = env.info, env.info.action_space
    acts = {
        "discrete": f"{info.n_actions} actions",
        "continuous": f"{space.size} numbers each",
        "multidiscrete": f"{space.size} choices each",
    }[space.kind]
    lines = [
        f"{info.n_agents} agents, {acts}, observations of {info.obs_size}, a state of {info.state_size}, episodes of "
        f"{info.episode_limit} steps or less; found out in {seconds:.2g} s",
        "it says who has won: test_battle_won_mean" if info.has_winner else "it does not say who has won",
    ]
    if info.listed:
        lines.append(f"numbers in its infos, in the log and the lists: {', '.join(info.listed)}")
    if info.repeatable:
        lines.append("a seed repeats an episode")
    return [*lines, *info.notes]


def _speed(env: MultiAgentEnv) -> float:
    rng, steps, over, began = np.random.default_rng(0), 0, True, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        if over:
            env.reset(steps)
        over = any(env.step(random_actions(env.info.action_space, env.get_avail_actions(), rng))[1:3])
        steps += 1
    return steps / spent


def _methods(env: MultiAgentEnv) -> list[str]:
    kind = env.info.action_space.kind
    able = [name for name, learner in LEARNERS.items() if kind in learner.ACTIONS]
    lines = [f"methods that can learn it: {', '.join(sorted(m for name in able for m in METHODS[name]))}"]
    own = [m for name in able if LEARNERS[name].OWN_REWARDS for m in METHODS[name] if m not in MIXED]
    return [*lines, f"with a reward for each agent (common_reward=False): {', '.join(sorted(own)) or 'none'}"]


def repeat(folder: str) -> list[str]:
    """Play the episode again in which a task's fault ended a run; return what came of it. Raises `RunFailedError`
    where the fault comes again.
    """
    path = Path(folder) / FAULT
    try:
        fault: Mapping[str, Any] = json.loads(path.read_text())
        env_config, env_args, seed = fault["env"], fault["env_args"], fault["seed"]
        actions = [np.array(joint) for joint in fault["actions"]]
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise UserError(
            f"{path} cannot be read ({why}): give the folder of a run that a task's fault has ended"
        ) from why
    check_archived(env_config, env_args)
    env = make_env(env_config, env_args)
    try:
        env.reset(seed)
        for joint in actions:
            if any(env.step(joint.astype(np.float32) if joint.dtype.kind == "f" else joint)[1:3]):
                break
    except EpisodeLostError as lost:
        failure = RunFailedError(f"it happens again: {lost}")
        for note in getattr(lost, "__notes__", ()):
            failure.add_note(note)
        raise failure from lost
    finally:
        env.close()
    return [f"the episode of seed {seed} was played for {len(actions)} steps, and nothing failed this time"]


def trust_package(package: str) -> list[str]:
    """Put a package on this user's list of those whose code archives may have run."""
    if place_of(package) is None:
        raise UserError(f"--trust {package}: there is neither a file {package}.py in {Path.cwd()} nor such a package")
    place = trust(package)
    if place is None:
        raise UserError(f"{trusted_file()}: cannot write there")
    return [f"{package} ({place}) is trusted: see {trusted_file()}"]


def new_task(file: str) -> list[str]:
    """Write a task to begin with; raise `UserError` where there is a file already."""
    path = Path(file)
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UserError(f"--new-task {file}: must be a file's name like my_task.py")
    try:
        with path.open("x", encoding="utf-8") as new:
            new.write(TEMPLATE.read_text(encoding="utf-8").replace("task_template", path.stem))
    except OSError as why:
        raise UserError(f"--new-task {file}: cannot be written ({why.strerror})") from why
    train = f"{typed('main')} --config=qmix --env-config=gymma with"
    return [
        f"{path} has a task for two agents; try it, then train:",
        f"      {typed('doctor')} --task {path.stem}",
        f"      {train} env_args.key={path.stem} env_args.time_limit=25",
    ]
