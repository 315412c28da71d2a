"""A test-only matrix game in which the state tells what agents cannot see: how good this episode is, whatever they do.

Each of two agents takes one of three actions, once. The team gets 1 for each agent that took action 2, and on top of it
LUCK or -LUCK, which the state shows and no observation does. A critic that sees the state knows the luck, and what is
left is what the actions did; one that sees the observations takes luck for merit.
"""

import numpy as np

from envs.multiagentenv import EnvInfo, MultiAgentEnv

PATH = "hidden_payoff:HiddenPayoffEnv"  # tests: monkeypatch.setitem(ENVS, "matrix_game", PATH)
LUCK, BEST, N_ACTIONS = 50.0, 2, 3


class HiddenPayoffEnv(MultiAgentEnv):
    def __init__(self, key="hidden"):
        self.info = EnvInfo(
            n_agents=2, n_actions=N_ACTIONS, obs_size=1, state_size=1, episode_limit=1,
            obs_dtype=np.dtype(np.float32), state_dtype=np.dtype(np.float32), has_winner=False,
        )  # fmt: skip

    @classmethod
    def task_name(cls, env_args):
        return "hidden_payoff"

    def reset(self, seed):
        self._luck = 1.0 if np.random.default_rng(seed).random() < 0.5 else -1.0

    def step(self, actions):
        return float((actions == BEST).sum()) + LUCK * self._luck, True, False, {}

    def get_obs(self):
        return np.ones((2, 1), dtype=np.float32)

    def get_state(self):
        return np.array([self._luck], dtype=np.float32)

    def get_avail_actions(self):
        return np.ones((2, N_ACTIONS), dtype=bool)

    def close(self):
        pass
