"""SMAX battles in batches, on the CPU. Letters: N allies, M enemies, A actions, W the width of a group.

`envs.jax_groups` says how one program plays batches of all sizes.
"""

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from envs.entities import Entities, laid_out
from envs.jax_groups import MOST, call, in_groups, jax, jnp, package
from envs.multiagentenv import EnvBatch, EnvInfo, Outcome, View

MOVES = ("north", "east", "south", "west", "stop")
STOP = MOVES.index("stop")


def _suite() -> ModuleType:
    return package("jaxmarl.environments.smax")


class Game:
    """The rules of one map as two compiled functions, `begin` and `go_on`, over up to `MOST` battles at once.

    Both take the number of groups to play first, then arrays (MOST, …). A battle draws from the key of its seed, at
    every step from another branch of it. What a call gives is one array (MOST, …) float32, which saves more time than
    the copying costs; `read` takes it apart. It begins with the package's own state, laid flat: (MOST, `memory`), which
    the next call is given. Its integers are small, so float32 holds them.
    """

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
        state = jax.eval_shape(self.env.reset, jax.random.PRNGKey(0))[1]
        self._leaves, self._structure = jax.tree.flatten(state)
        self.memory = sum(leaf.size for leaf in self._leaves)
        N, A = self.info.n_agents, self.info.n_actions
        sizes = (self.memory, N * self.info.obs_size, self.info.state_size, N * A)
        self._ends = np.cumsum(sizes)
        self.begin = jax.jit(in_groups(self._begin))
        self.go_on = jax.jit(in_groups(self._go_on))

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

    def _remembered(self, memory: jax.Array) -> Any:
        """Return the package's state from its flat form."""
        ends = np.cumsum([leaf.size for leaf in self._leaves])[:-1]
        parts = zip(jnp.split(memory, ends), self._leaves, strict=True)
        return self._structure.unflatten([part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in parts])

    def _all(self, obs: dict[str, jax.Array], state: Any, reward: jax.Array) -> jax.Array:
        """Return, laid flat: state, observations, world state, available actions, and four numbers.

        The numbers: reward, dead allies, dead enemies, steps taken.
        """
        available, dead = self.env.get_avail_actions(state), ~state.state.unit_alive
        numbers = (reward, dead[: self.n_allies].sum(), dead[self.n_allies :].sum(), state.state.step)
        parts = [*jax.tree.leaves(state), *(obs[name] for name in self.env.agents), obs["world_state"]]
        parts += [*(available[name] for name in self.env.agents), *numbers]
        return jnp.concatenate([jnp.ravel(part).astype(jnp.float32) for part in parts])

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


class SMAXBattles(EnvBatch):
    """n battles, one in each slot."""

    def __init__(self, rules: Game, n: int) -> None:
        self.game, self.info = rules, rules.info
        self.action_names = [*MOVES, *(f"attack {enemy}" for enemy in range(rules.n_enemies))]
        self._seeds = np.zeros(n, np.uint32)
        self._memories = np.zeros((n, rules.memory), np.float32)

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View]:
        """Begin a battle in each of some slots, drawn from its seed (32 bits)."""
        self._seeds[list(slots)] = np.array(seeds, np.uint32)
        views, _ = self._called(self.game.begin, slots)
        return views

    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        """Take the joint actions, integers (slots, N), in some slots."""
        views, numbers = self._called(self.game.go_on, slots, self._memories[list(slots)], actions.astype(np.int32))
        return [self._outcome(view, *each) for view, each in zip(views, numbers, strict=True)]

    def _called(
        self, function: Callable[..., jax.Array], slots: Sequence[int], *arguments: np.ndarray
    ) -> tuple[list[View], list[list[float]]]:
        """Call a function of the game for some slots; return their views and numbers (see `Game.read`)."""
        columns = (self._seeds[list(slots)], *arguments)
        told = [
            call(function, [column[first : first + MOST] for column in columns])
            for first in range(0, len(slots), MOST)
        ]
        memories, views, numbers = self.game.read(np.concatenate(told) if len(told) > 1 else told[0])
        self._memories[list(slots)] = memories
        return views, numbers

    def _outcome(self, view: View, reward: float, dead_allies: float, dead_enemies: float, steps: float) -> Outcome:
        won = dead_enemies == self.game.n_enemies
        terminated = won or dead_allies == self.game.n_allies
        # The package's own limit lets one more step pass.
        truncated = not terminated and steps == self.info.episode_limit
        info = {"battle_won": float(won), "dead_allies": dead_allies, "dead_enemies": dead_enemies}
        return Outcome(reward, terminated, truncated, info, view)

    def get_stats(self) -> dict[str, float]:
        """Return nothing: battles have no troubles to count."""
        return {}

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
