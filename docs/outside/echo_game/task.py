"""Echo: each of two agents sees a word, and both are rewarded for every step in which both say the other's."""

import numpy as np
from envs.multiagentenv import EnvInfo, MultiAgentEnv

BYTE = np.dtype(np.int8)


class Echo(MultiAgentEnv):
    """An agent's observation is the other's last word and its own now, as one-hots. The words change every step."""

    def __init__(self, words: int, limit: int) -> None:
        self.words, self.limit = words, limit
        self.info = EnvInfo(2, words, 2 * words, 2 * words, limit, obs_dtype=BYTE, state_dtype=BYTE, has_winner=False)

    @classmethod
    def task_name(cls, env_args) -> str:
        return f"echo-{env_args['words']}"

    def reset(self, seed: int) -> None:
        self.rng, self.t = np.random.default_rng(seed), 0
        self.said = np.zeros(2, dtype=int)
        self.given = self.rng.integers(self.words, size=2)

    def step(self, actions):
        right = float((actions == self.given[::-1]).all())
        self.said, self.given, self.t = actions.copy(), self.rng.integers(self.words, size=2), self.t + 1
        return right, False, self.t >= self.limit, {}

    def get_obs(self):
        onehots = np.eye(self.words, dtype=BYTE)
        return np.concatenate([onehots[self.said[::-1]], onehots[self.given]], axis=1)

    def get_state(self):
        return np.eye(self.words, dtype=BYTE)[self.given].reshape(-1)

    def get_avail_actions(self):
        return np.ones((2, self.words), dtype=bool)

    def close(self) -> None:
        pass
