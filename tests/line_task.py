"""A task of somebody's own, as people write one: a single file, which tests copy beside a run and spoil."""

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Line(ParallelEnv):
    """Two agents on a line of `size` cells meet for a reward; a wall forbids its direction."""

    metadata = {"name": "line_v0"}  # noqa: RUF012

    def __init__(self, size=5, goal="middle", layout=None):
        self.size, self.goal, self.layout = size, goal, layout
        self.possible_agents = ["left", "right"]

    def observation_space(self, agent):
        return spaces.Dict(
            observation=spaces.Box(0, self.size, (2,), np.float32), action_mask=spaces.Box(0, 1, (3,), np.int8)
        )

    def action_space(self, agent):
        return spaces.Discrete(3)

    def _seen(self):
        last = self.size - 1
        self.masks = {a: np.array([at > 0, 1, at < last], np.int8) for a, at in self.at.items()}
        here = np.array([self.at[a] for a in self.possible_agents], np.float32)
        return {a: {"observation": here, "action_mask": self.masks[a]} for a in self.agents}

    def state(self):
        return np.array([self.at["left"], self.at["right"], self.size], np.float64)

    def reset(self, seed=None, options=None):
        rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.at = {a: int(rng.integers(self.size)) for a in self.agents}
        return self._seen(), {a: {} for a in self.agents}

    def step(self, actions):
        for agent, action in actions.items():
            if not self.masks[agent][action]:
                raise ValueError("illegal action")
            self.at[agent] += action - 1
        met = self.at["left"] == self.at["right"]
        each, seen = list(self.agents), self._seen()
        infos = {a: {"distance": abs(self.at["left"] - self.at["right"]), "success": met} for a in each}
        if met:
            self.agents = []
        return seen, {a: float(met) for a in each}, dict.fromkeys(each, met), dict.fromkeys(each, False), infos


def parallel_env(**kwargs):
    return Line(**kwargs)
