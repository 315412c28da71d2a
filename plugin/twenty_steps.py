"""An environment of twenty steps by the contract of PyMARL2 and EPyMARL, to try a host with: see scripts/try_hosts.py.

Two agents are rewarded at each step on which both choose the action that is due. Nothing is drawn.
"""

from __future__ import annotations

from typing import Any

from .multiagentenv import MultiAgentEnv

STEPS, N_AGENTS, N_ACTIONS = 20, 2, 3


class TwentySteps(MultiAgentEnv):
    """EPyMARL since 2024 gives `common_reward` among the settings, and reads five things of a step; others read three.
    """

    def __init__(self, **settings: Any) -> None:
        self.n_agents, self.episode_limit = N_AGENTS, STEPS
        self.five = "common_reward" in settings
        self.t = 0

    def reset(self, *given: Any, **named: Any) -> tuple[Any, Any]:
        """Begin an episode."""
        self.t = 0
        return self.get_obs(), {} if self.five else self.get_state()

    def step(self, actions: Any) -> tuple[Any, ...]:
        """Take a step; the last one ends the episode by its time limit."""
        reward = float(all(int(action) == self.t % N_ACTIONS for action in actions))
        self.t += 1
        over = self.t == STEPS
        if self.five:
            return self.get_obs(), reward, False, over, {}
        return reward, over, {"episode_limit": True} if over else {}

    def get_obs(self) -> list[list[float]]:
        """Return what each agent sees: the time."""
        return [[self.t / STEPS, (self.t % N_ACTIONS) / N_ACTIONS] for _ in range(N_AGENTS)]

    def get_obs_agent(self, agent_id: int) -> list[float]:
        """Return what one agent sees."""
        return self.get_obs()[agent_id]

    def get_obs_size(self) -> int:
        """Return how many numbers that is."""
        return 2

    def get_state(self) -> list[float]:
        """Return what both see."""
        return [number for obs in self.get_obs() for number in obs]

    def get_state_size(self) -> int:
        """Return how many numbers that is."""
        return 2 * N_AGENTS

    def get_avail_actions(self) -> list[list[int]]:
        """Return which actions there are: all."""
        return [[1] * N_ACTIONS for _ in range(N_AGENTS)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Return which actions an agent has."""
        return [1] * N_ACTIONS

    def get_total_actions(self) -> int:
        """Return how many actions there are."""
        return N_ACTIONS

    def get_stats(self) -> dict[str, float]:
        """Return nothing: it keeps no figures."""
        return {}

    def render(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Leave nothing open."""

    def seed(self) -> None:
        """Draw nothing."""

    def save_replay(self) -> None:
        """Keep nothing."""
