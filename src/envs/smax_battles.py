"""SMAX battles in batches, on the CPU. Letters: N allies, M enemies, A actions."""

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from envs.entities import Entities, laid_out
from envs.jax_games import Games, Rules, laid_flat
from envs.jax_groups import jax, jnp, package
from envs.multiagentenv import EnvInfo, Outcome, View

MOVES = ("north", "east", "south", "west", "stop")
STOP = MOVES.index("stop")


def _suite() -> ModuleType:
    return package("jaxmarl.environments.smax")


class Game(Rules):
    """The rules of one map."""

    def __init__(self, map_name: str, **rules: Any) -> None:
        suite = _suite()
        self.env = suite.HeuristicEnemySMAX(scenario=suite.map_name_to_scenario(map_name), **rules)
        size = self.env._env  # the battle itself, where the package keeps its sizes
        self.n_allies, self.n_enemies = size.num_allies, size.num_enemies
        self.info = EnvInfo(
            n_agents=self.n_allies,
            n_actions=len(MOVES) + self.n_enemies,
            obs_size=size.obs_size,
            state_size=size.state_size,
            episode_limit=size.max_steps,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=True,
            noop=STOP,
            entities=self._entities(size),
        )
        self._compile(jax.eval_shape(self.env.reset, jax.random.PRNGKey(0))[1])
        N, A = self.info.n_agents, self.info.n_actions
        sizes = (self.memory, N * self.info.obs_size, self.info.state_size, N * A)
        self._ends = np.cumsum(sizes)

    def _entities(self, size: Any) -> Entities:
        """Return how the package lays an observation out: other allies, enemies, oneself."""
        unit, own = len(size.unit_features), len(size.own_features)
        blocks = [("ally", self.n_allies - 1, unit), ("enemy", self.n_enemies, unit), (None, 1, own)]
        return laid_out(blocks, {"enemy": tuple(range(len(MOVES), len(MOVES) + self.n_enemies))})

    def _begin(self, seed: jax.Array) -> jax.Array:
        """Return all about a battle's first state."""
        obs, state = self.env.reset(jax.random.fold_in(jax.random.PRNGKey(seed), 0))
        return self._all(obs, state, jnp.float32(0))

    def _go_on(self, seed: jax.Array, memory: jax.Array, actions: jax.Array) -> jax.Array:
        """Return all about a battle after a joint action (N,)."""
        state, names = self._remembered(memory), self.env.agents
        key = jax.random.fold_in(jax.random.PRNGKey(seed), state.state.step + 1)
        # `step_env` and not `step`, which would show the next battle's first state instead of the last one.
        obs, state, rewards, _, _ = self.env.step_env(key, state, dict(zip(names, actions, strict=True)))
        return self._all(obs, state, rewards[names[0]])

    def _all(self, obs: dict[str, jax.Array], state: Any, reward: jax.Array) -> jax.Array:
        """Return, laid flat: state, observations, world state, available actions, and four numbers.

        The numbers: reward, dead allies, dead enemies, steps taken.
        """
        available, dead = self.env.get_avail_actions(state), ~state.state.unit_alive
        numbers = (reward, dead[: self.n_allies].sum(), dead[self.n_allies :].sum(), state.state.step)
        seen, may = ([by_agent[name] for name in self.env.agents] for by_agent in (obs, available))
        return laid_flat(state, *seen, obs["world_state"], *may, *numbers)

    def read(self, told: np.ndarray) -> tuple[np.ndarray, list[View], list[list[float]]]:
        """Take (battles, …) apart: the memories (battles, `memory`); views; four numbers of each battle."""
        memories, obs, state, available, numbers = np.split(told, self._ends, axis=1)
        obs = obs.reshape(len(told), self.info.n_agents, self.info.obs_size)
        available = available.reshape(len(told), self.info.n_agents, self.info.n_actions) != 0
        return memories, [View(*each) for each in zip(obs, state, available, strict=True)], numbers.tolist()


@cache
def game(map_name: str, **rules: Any) -> Game:
    """Return the rules of a map; the same ones are compiled once per process, for they take seconds."""
    return Game(map_name, **rules)


class SMAXBattles(Games):
    """n battles, one in each slot."""

    rules: Game

    @property
    def action_names(self) -> list[str]:
        """Moves, then an attack on each enemy."""
        return [*MOVES, *(f"attack {enemy}" for enemy in range(self.rules.n_enemies))]

    def _outcome(self, slot: int, view: View, *numbers: float) -> Outcome:
        reward, dead_allies, dead_enemies, steps = numbers
        won = dead_enemies == self.rules.n_enemies
        terminated = won or dead_allies == self.rules.n_allies
        # The package's own limit lets one more step pass.
        truncated = not terminated and steps == self.info.episode_limit
        info = {"battle_won": float(won), "dead_allies": dead_allies, "dead_enemies": dead_enemies}
        return Outcome(reward, terminated, truncated, info, view)
