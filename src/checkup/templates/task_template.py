"""A task of my own: two agents on a line have to meet. Change what you like, and look at it again with

python src/doctor.py --task task_template
"""

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Meeting(ParallelEnv):
    """Agents on `size` cells step left, stay or step right; each gets 1 when they meet, which ends the episode."""

    metadata = {"name": "meeting_v0"}

    def __init__(self, size=7):
        self.size = size  # set it from outside: env_args.kwargs.size=9
        self.possible_agents = ["left", "right"]

    def observation_space(self, agent):
        return spaces.Dict(
            observation=spaces.Box(0, self.size, (2,), np.float32),  # one's own cell, and the other's
            action_mask=spaces.Box(0, 1, (3,), np.int8),  # leave it out where all actions can always be taken
        )

    def action_space(self, agent):
        return spaces.Discrete(3)  # left, stay, right; a Box of floats or MultiDiscrete would do, too

    def reset(self, seed=None, options=None):
        rng = np.random.default_rng(seed)  # all that is random comes from here: then episodes can be repeated
        self.agents = list(self.possible_agents)
        self.cells = {"left": int(rng.integers(2)), "right": self.size - 1 - int(rng.integers(2))}
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        for agent, action in actions.items():
            self.cells[agent] += int(action) - 1
        met = self.cells["left"] >= self.cells["right"]
        agents, seen = self.agents, self._seen()
        infos = {agent: {"distance": abs(self.cells["right"] - self.cells["left"]), "success": met} for agent in agents}
        if met:
            self.agents = []
        return seen, dict.fromkeys(agents, float(met)), dict.fromkeys(agents, met), dict.fromkeys(agents, False), infos

    def _seen(self):
        cells = self.cells
        mine = {"left": [cells["left"], cells["right"]], "right": [cells["right"], cells["left"]]}
        return {
            agent: {
                "observation": np.array(mine[agent], np.float32),
                "action_mask": np.array([cells[agent] > 0, 1, cells[agent] < self.size - 1], np.int8),
            }
            for agent in self.agents
        }


parallel_env = Meeting  # what env_args.key=task_template makes; its arguments are those of the class
