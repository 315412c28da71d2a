"""Tasks of other packages by key: Gymnasium's with several agents (or one), and PettingZoo's parallel environments.

`envs.gymma_keys` says what a key is, `envs.gymma_games` what a task returns.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.gym_actions import Team, one_line, team_of
from envs.gymma_games import MisfitError, Rewards, Views
from envs.gymma_keys import SUITES, find, parse_key
from envs.multiagentenv import EnvInfo, MultiAgentEnv
from utils.errors import UserError


class GymmaEnv(MultiAgentEnv):
    """A task from another package, with actions of any kind in `envs.action_spaces`.

    The environment is made anew for each episode, because some packages' reset depends on the episode before (LBF's
    does). Observations are flattened and end with zeros where others' are longer; the state is all of them in a row.
    What an agent's action space lacks is unavailable; an agent that has left sees zeros and has its first action alone
    (of each part; of numbers none). The team's reward is the sum of the agents', or that divided by N, or what the task
    gives if that is one number; with `common_reward=False` agents have their own. `time_limit` takes the place of
    limits that environments count for themselves under a usual name: LBF and RWARE report those as the end of the
    task, which they are not.
    """

    def __init__(self, key: str, time_limit: int, common_reward: bool, reward_scalarisation: str) -> None:
        self._key, self._make = key, find(key, time_limit)
        self._game = self._make()
        self._team = self._spaces()
        n_agents, obs_size = len(self._game.names), max(spaces.flatdim(space) for space in self._game.obs_spaces)
        self._common_reward = common_reward
        self._scale = 1.0 / n_agents if reward_scalarisation == "mean" else 1.0
        self._seed, self._steps, self._drawn = 0, 0, False
        self.info = EnvInfo(
            n_agents=n_agents,
            n_actions=self._team.existing.shape[1],
            obs_size=obs_size,
            state_size=n_agents * obs_size,
            episode_limit=time_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
            action_space=self._team.space,
            n_rewards=1 if common_reward else n_agents,
        )

    def _spaces(self) -> Team:
        for agent, space in enumerate(self._game.obs_spaces):
            if not space.is_np_flattenable:
                raise UserError(
                    f"env_args.key={self._key}: agent {agent} sees {one_line(space)}, no vector of one length"
                )
        try:
            return team_of(self._game.action_spaces)
        except ValueError as why:
            raise UserError(f"env_args.key={self._key}: {why}") from why

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return Gymnasium's Id or PettingZoo's module, with dashes for what folder names lack."""
        found = parse_key(env_args["key"])
        return re.sub(r"[^A-Za-z0-9_]+", "-", found.task or found.module or "")

    @classmethod
    def unknown_package(cls, env_args: Mapping[str, Any]) -> str | None:
        """Return the package of the key if it is none of `SUITES`."""
        package = (parse_key(env_args["key"]).module or "gymnasium").partition(".")[0]
        return None if package in SUITES else package

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the task: the one named by the key, and Gymnasium where that registers it."""
        found = parse_key(env_args["key"])
        gymnasium_too = [] if found.task is None else ["gymnasium"]
        package = (found.module or "gymnasium").partition(".")[0]
        return sorted({*gymnasium_too, *packages_distributions().get(package, [package])})

    def reset(self, seed: int) -> None:
        """Make the environment anew and begin an episode drawn from `seed`."""
        if self._drawn:
            self._game.env.close()  # its window; the rest goes with the object
        self._game, self._steps, self._drawn = self._make(), 0, False
        self._seed = int(seed)
        self._see(self._game.reset(self._seed))

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action; see `MultiAgentEnv.step`."""
        self._steps += 1
        try:
            views, rewards, terminated, truncated = self._game.step(self._team.native(actions))
        except MisfitError as why:
            raise UserError(
                f"env_args.key={self._key}: {why}, at step {self._steps} of the episode of seed {self._seed}"
            ) from why
        self._see(views)
        truncated = not terminated and (truncated or self._steps >= self.info.episode_limit)
        return self._reward(rewards), terminated, truncated, {}

    def _reward(self, rewards: Rewards) -> float | np.ndarray:
        if self._common_reward:
            return rewards if isinstance(rewards, float) else float(sum(rewards)) * self._scale
        if isinstance(rewards, float):
            raise UserError(
                f"env_args.common_reward=False: {self._key} gives one reward for the team; take common_reward=True"
            )
        return np.array(rewards)

    def _see(self, views: Views) -> None:
        self._obs = np.zeros((self.info.n_agents, self.info.obs_size), dtype=np.float32)
        self._available = self._team.existing.copy()
        for agent, view in enumerate(views):
            if view is None:
                self._available[agent] = self._team.gone[agent]
            else:
                self._obs[agent, : len(view)] = view

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) float32."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return all observations in a row: (N * obs_size,) float32."""
        return self._obs.reshape(-1)

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, W) bool."""
        return self._available

    def render(self) -> np.ndarray:
        """Return the package's picture, (height, width, 3) uint8; raise `UserError` where it makes none."""
        if self._game.env.render_mode != "rgb_array":
            raise UserError("this environment cannot be drawn: its package has no render mode rgb_array")
        self._drawn = True
        try:
            return np.asarray(self._game.env.render())
        except Exception as why:  # anything: pyglet without a screen, a missing font, a missing library
            raise UserError(f"this environment cannot be drawn here: {type(why).__name__}: {one_line(why)}") from why

    def close(self) -> None:
        """Close the environment."""
        self._game.env.close()
