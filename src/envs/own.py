"""A class of somebody's own with the contract of `MultiAgentEnv`, by name: it need not be put into the registry."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.batch import EnvsInTurn
from envs.multiagentenv import EnvBatch, MultiAgentEnv
from envs.named_class import NamedClassEnv, class_named
from envs.task_code import check_arguments, running
from utils.errors import UserError


class OwnEnv(NamedClassEnv):
    """The environment of the class that `env` names, made with `kwargs`."""

    def __init__(self, env: str, kwargs: str) -> None:
        made = _class(env, kwargs)
        with running(f"env_args.env={env}: making it"):
            self._env = made(**json.loads(kwargs))
        self.info = self._env.info

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> EnvBatch:
        """Return n of them, in the class's own batch where it has one."""
        made, kwargs = _class(**env_args), json.loads(env_args["kwargs"])
        with running(f"env_args.env={env_args['env']}: making {n} of them"):
            batch = made.make_batch(kwargs, n)
            return EnvsInTurn(lambda: made(**kwargs), n) if batch is None else batch

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._env.reset(seed)

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action."""
        return self._env.step(actions)

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size)."""
        return self._env.get_obs()

    def get_state(self) -> np.ndarray:
        """Return (state_size,)."""
        return self._env.get_state()

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, W) bool."""
        return self._env.get_avail_actions()

    def get_stats(self) -> dict[str, float]:
        """Return the numbers of the environment's whole life."""
        return self._env.get_stats()

    def action_names(self) -> Sequence[str]:
        """Return the environment's own names."""
        return self._env.action_names()

    def render(self) -> np.ndarray:
        """Return the environment's picture."""
        return self._env.render()

    def render_observation(self, obs: np.ndarray) -> np.ndarray:
        """Return the environment's picture of what agents see."""
        return self._env.render_observation(obs)

    def save_replay(self, folder: Path) -> None:
        """Ask the environment for its replay."""
        self._env.save_replay(folder)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _class(env: str, kwargs: str) -> type[MultiAgentEnv]:
    found = class_named(env)
    if not (isinstance(found, type) and issubclass(found, MultiAgentEnv)):
        raise UserError(
            f"env_args.env={env}: it is no MultiAgentEnv (src/envs/multiagentenv.py); PyMARL's classes are named by "
            "--env-config=pymarl, Gymnasium's and PettingZoo's by --env-config=gymma"
        )
    check_arguments(found, json.loads(kwargs), f"env_args.env={env}", given={})
    return found
