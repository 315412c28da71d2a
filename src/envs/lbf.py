"""Level-Based Foraging as an environment of ours; `envs.lbf_game` has its rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lbforaging.foraging.environment import Action

from envs.entities import laid_out
from envs.lbf_game import FastForaging
from envs.lbf_task import parse_key
from envs.multiagentenv import EnvInfo, MultiAgentEnv


class LBFEnv(MultiAgentEnv):
    """Level-Based Foraging: agents collect food that may need several of them side by side.

    An episode terminates when all food is taken and is truncated after `episode_limit` steps. The team reward
    sums the agents' rewards, which `common_reward=False` leaves apart: a food's worth goes to those that load it, by
    their levels. All food of an episode together is worth 1. The state is the observations one
    after another. Info: `food_collected`, the share of the food items taken so far. On a crowded grid the
    library may place fewer food than the key says.
    """

    def __init__(self, key: str, valid_actions_only: bool, common_reward: bool, episode_limit: int) -> None:
        task = parse_key(key)
        self._task, self._game = task, FastForaging(task, episode_limit)
        self._valid_actions_only, self._common_reward = valid_actions_only, common_reward
        self._all_available = np.ones((task.players, len(Action)), dtype=bool)
        obs_size = 3 * (task.foods + task.players)
        self.info = EnvInfo(
            n_agents=task.players,
            n_actions=len(Action),
            obs_size=obs_size,
            state_size=task.players * obs_size,
            episode_limit=episode_limit,
            obs_dtype=np.dtype(np.int8),
            state_dtype=np.dtype(np.int8),
            has_winner=False,
            state_of_obs=True,
            n_rewards=1 if common_reward else task.players,
            entities=laid_out([("food", task.foods, 3), (None, 1, 3), ("ally", task.players - 1, 3)]),
        )

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the canonical key; raise `UserError` for a bad one."""
        return parse_key(env_args["key"]).key

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the rules."""
        return ("lbforaging",)

    def reset(self, seed: int) -> None:
        """Begin a new episode drawn from `seed` alone."""
        self._obs, _ = self._game.reset(seed=int(seed))

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action, (N,) integers: wait, north, south, west, east, load."""
        # The library reports one `done` for both ends and never truncates.
        self._obs, rewards, done, _, _ = self._game.step(actions.tolist())
        food_left = len(self._game.food_left)
        terminated = not food_left
        collected = 1.0 - food_left / max(self._game.food_placed, 1)
        told = float(sum(rewards)) if self._common_reward else np.array(rewards, dtype=np.float64)
        return told, terminated, done and not terminated, {"food_collected": collected}

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) int8; see `FastForaging` for the layout."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return all observations in a row: (N * obs_size,) int8."""
        return self._obs.reshape(-1)

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, 6) bool: the game's valid actions, or all without `valid_actions_only`."""
        return self._game.available() if self._valid_actions_only else self._all_available

    def action_names(self) -> Sequence[str]:
        """Return the library's names, in small letters."""
        return [action.name.lower() for action in Action]

    def render_observation(self, obs: np.ndarray) -> np.ndarray:
        """Draw what the first agent sees."""
        sight = 2 if self._task.short_sight else max(self._task.width, self._task.height)
        side = min(self._task.height, 2 * sight + 1), min(self._task.width, 2 * sight + 1)
        from envs.lbf_drawing import draw_observation  # which imports Pillow

        return draw_observation(obs[0], self._task.foods, side)

    def render(self) -> np.ndarray:
        """Return a picture of the game, (height, width, 3) uint8; see `envs.lbf_drawing`."""
        from envs.lbf_drawing import draw  # brings Pillow, which training has no use for

        return draw(self._game)

    def close(self) -> None:
        """Close the game."""
        self._game.close()
