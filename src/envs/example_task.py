"""A task with PyMARL's contract, and nothing of ours in it: it runs in a PyMARL checkout and here.

python src/main.py --config=qmix --env-config=pymarl with env_args.env=envs.example_task:Meeting
"""

import numpy as np


class Meeting:
    """`n_agents` on a ring of `size` cells meet in one cell for a reward of 1; the first may not stand still."""

    def __init__(self, n_agents=2, size=5, episode_limit=10, seed=None):
        self.n_agents, self.size, self.episode_limit = n_agents, size, episode_limit
        self._rng = np.random.default_rng(seed)

    def get_env_info(self):
        """Return the sizes that PyMARL asks for."""
        return {
            "n_agents": self.n_agents,
            "n_actions": 3,
            "obs_shape": self.size,
            "state_shape": self.n_agents * self.size,
            "episode_limit": self.episode_limit,
        }

    def seed(self, seed):
        """Let the next episode be drawn from a seed."""
        self._rng = np.random.default_rng(seed)

    def reset(self):
        """Begin an episode."""
        self._at, self._steps = self._rng.integers(self.size, size=self.n_agents), 0
        return self.get_obs(), self.get_state()

    def step(self, actions):
        """Move each agent back, not at all or forth; return reward, terminated and info."""
        self._at = (self._at + np.asarray(actions) - 1) % self.size
        self._steps += 1
        met = len(set(self._at.tolist())) == 1
        info = {"battle_won": met}
        if not met and self._steps >= self.episode_limit:
            info["episode_limit"] = True
        return float(met), met or self._steps >= self.episode_limit, info

    def get_obs(self):
        """Return what each agent sees: its own cell."""
        return [np.eye(self.size)[at] for at in self._at]

    def get_state(self):
        """Return all cells."""
        return np.concatenate(self.get_obs())

    def get_avail_actions(self):
        """Return which actions each agent may take."""
        return [[1, int(agent > 0), 1] for agent in range(self.n_agents)]

    def get_stats(self):
        """Return numbers of the object's whole life: none."""
        return {}

    def close(self):
        """Free nothing."""
