"""A simulator that steps many copies at once, as a task: all of its episodes in one call of NumPy (JAX, Torch, …).

python src/main.py --config=qmix --env-config=own with env_args.env=envs.example_batch:Ring
"""

import numpy as np

from envs.batch import BatchedEnv
from envs.multiagentenv import EnvBatch, EnvInfo, Outcome, View

BYTE = np.dtype(np.int8)


class RingBatch(EnvBatch):
    """n rings of `size` cells, on which two agents meet for a reward of 1 or are cut off after `limit` steps."""

    def __init__(self, n, size=5, limit=10):
        self.size, self.at, self.count = size, np.zeros((n, 2), int), np.zeros(n, int)
        self.info = EnvInfo(2, 3, size, 2 * size, limit, obs_dtype=BYTE, state_dtype=BYTE, has_winner=True)

    def reset(self, slots, seeds):
        self.at[slots] = [np.random.default_rng(seed).integers(self.size, size=2) for seed in seeds]
        self.count[slots] = 0
        return self.views(slots)

    def step(self, slots, actions):
        self.at[slots] = (self.at[slots] + actions - 1) % self.size
        self.count[slots] += 1
        met, cut = self.at[slots, 0] == self.at[slots, 1], self.count[slots] >= self.info.episode_limit
        ends = zip(met.tolist(), (cut & ~met).tolist(), self.views(slots), strict=True)
        return [Outcome(float(m), m, c, {"battle_won": float(m)}, view) for m, c, view in ends]

    def views(self, slots):
        obs = np.eye(self.size, dtype=BYTE)[self.at[slots]]
        return [View(each, each.reshape(-1), np.ones((2, 3), bool)) for each in obs]


class Ring(BatchedEnv):
    """The task, with the settings that its batch takes."""

    Batch = RingBatch
