"""Small two-agent matrix games with known solutions, to check algorithms in seconds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.matrix_payoffs import GAMES
from envs.multiagentenv import EnvInfo, MultiAgentEnv
from utils.errors import UserError, nearest

N_AGENTS = 2


class MatrixGameEnv(MultiAgentEnv):
    """One of `GAMES`. Observation and state are the one-hot state; every episode terminates by itself."""

    def __init__(self, key: str) -> None:
        self._game = GAMES[self.task_name({"key": key})]
        self._state = 0
        self._taken: list[tuple[int, int, int]] = []  # state, and the action of each agent in it
        n_actions, n_states = len(self._game.payoffs[0]), len(self._game.payoffs)
        self._one_hot = np.eye(n_states, dtype=np.float32)
        self._available = np.ones((N_AGENTS, n_actions), dtype=bool)
        self.info = EnvInfo(
            n_agents=N_AGENTS,
            n_actions=n_actions,
            obs_size=n_states,
            state_size=n_states,
            episode_limit=2 if self._game.successors else 1,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
        )

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the game's key; raise `UserError` for an unknown one."""
        key = env_args["key"]
        if key not in GAMES:
            raise UserError(f"unknown matrix game {key!r}: did you mean {nearest(key, GAMES)}?")
        return key

    def reset(self, seed: int) -> None:
        """Return to state 0. The games are deterministic: the seed is accepted and not used."""
        self._state = 0
        self._taken = []

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        """Pay the payoff of the joint action, (2,) integers; after the last step the state stays."""
        mine, other = actions.tolist()
        reward = self._game.payoffs[self._state][mine][other]
        self._taken.append((self._state, mine, other))
        terminated = len(self._taken) == self.info.episode_limit
        if not terminated:
            self._state = self._game.successors[mine]
        return float(reward), terminated, False, {}

    def get_obs(self) -> np.ndarray:
        """Return the one-hot state for both agents: (2, states) float32."""
        return np.stack([self._one_hot[self._state]] * N_AGENTS)

    def get_state(self) -> np.ndarray:
        """Return the one-hot state: (states,) float32."""
        return self._one_hot[self._state]

    def get_avail_actions(self) -> np.ndarray:
        """Return (2, A) bool, all True."""
        return self._available

    def render(self) -> np.ndarray:
        """Return a picture of the payoffs and of what was taken, (height, width, 3) uint8; see `matrix_drawing`."""
        from envs.matrix_drawing import draw  # brings Pillow, which training has no use for

        return draw(self._game, self._state, self._taken)

    def render_observation(self, obs: np.ndarray) -> np.ndarray:
        """Draw how much of each state both agents see."""
        from envs.matrix_drawing import draw_observation

        return draw_observation(self._game, obs)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
