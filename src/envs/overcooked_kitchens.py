"""Kitchens of Overcooked in batches, in JAX on the CPU; `envs.jax_groups` says how one program plays all sizes.

Letters: N cooks (two), R rows and C columns of a kitchen, 26 layers of what stands where.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from envs.jax_groups import MOST, call, in_groups, jax, jnp, package
from envs.multiagentenv import EnvBatch, EnvInfo, ObsImage, Outcome, View

ACTIONS = ("up", "down", "right", "left", "stay", "interact")
COOKS = ("agent_0", "agent_1")
DELIVERY = 20  # what the package pays for a soup


class Kitchen:
    """The rules of one layout as two compiled functions, `begin` and `go_on`, as `envs.smax_battles.Game` has them."""

    def __init__(self, layout: str, random_start: bool, max_steps: int) -> None:
        suite = package("jaxmarl.environments.overcooked")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there is a second version, which is another task
            self.env = suite.Overcooked(suite.overcooked_layouts[layout], random_start, max_steps)
        obs, state = jax.eval_shape(self.env.reset, jax.random.PRNGKey(0))
        picture = ObsImage(0, *obs[COOKS[0]].shape)  # (R, C, 26)
        size = picture.stop
        self.info = EnvInfo(
            n_agents=len(COOKS),
            n_actions=len(ACTIONS),
            obs_size=size,
            state_size=size,
            episode_limit=max_steps,
            obs_dtype=np.dtype(np.uint8),
            state_dtype=np.dtype(np.uint8),
            has_winner=False,
            obs_images=(picture,),
        )
        self._leaves, self._structure = jax.tree.flatten(state)
        self.memory = sum(leaf.size for leaf in self._leaves)
        self._ends = np.cumsum((self.memory, len(COOKS) * size))
        self.begin, self.go_on = jax.jit(in_groups(self._begin)), jax.jit(in_groups(self._go_on))

    def _begin(self, seed: jax.Array) -> jax.Array:
        return self._all(*self.env.reset(jax.random.PRNGKey(seed)), jnp.zeros(3))

    def _go_on(self, seed: jax.Array, memory: jax.Array, actions: jax.Array) -> jax.Array:
        ends = np.cumsum([leaf.size for leaf in self._leaves])[:-1]
        parts = zip(jnp.split(memory, ends), self._leaves, strict=True)
        state = self._structure.unflatten([part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in parts])
        key = jax.random.fold_in(jax.random.PRNGKey(seed), state.step + 1)
        # `step_env` and not `step`, which would show the next episode's first state instead of the last one.
        obs, state, rewards, _, more = self.env.step_env(key, state, dict(zip(COOKS, actions, strict=True)))
        shaped = sum(more["shaped_reward"][name] for name in COOKS)
        return self._all(obs, state, jnp.array([rewards[COOKS[0]], shaped, state.step]))

    @staticmethod
    def _all(obs: dict[str, jax.Array], state: Any, numbers: jax.Array) -> jax.Array:
        """Return, laid flat: state, both observations, and reward, shaped reward, steps taken."""
        parts = [*jax.tree.leaves(state), *(obs[name] for name in COOKS), numbers]
        return jnp.concatenate([jnp.ravel(part).astype(jnp.float32) for part in parts])

    def read(self, told: np.ndarray) -> tuple[np.ndarray, list[View], list[list[float]]]:
        """Take (episodes, …) apart: memories, views, and the three numbers of each."""
        memories, obs, numbers = np.split(told, self._ends, axis=1)
        obs = obs.astype(np.uint8).reshape(len(told), len(COOKS), -1)
        everything = np.ones((len(COOKS), len(ACTIONS)), dtype=bool)
        return memories, [View(each, each[0], everything) for each in obs], numbers.tolist()


@cache
def kitchen(layout: str, random_start: bool, max_steps: int) -> Kitchen:
    """Return the rules of a layout, compiled once per process."""
    return Kitchen(layout, random_start, max_steps)


class Kitchens(EnvBatch):
    """n episodes, one in each slot."""

    def __init__(self, rules: Kitchen, n: int, shaping: float) -> None:
        self.kitchen, self.info, self.shaping = rules, rules.info, shaping
        self._seeds = np.zeros(n, np.uint32)
        self._memories = np.zeros((n, rules.memory), np.float32)
        self._soups = np.zeros(n)

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View]:
        """Begin an episode in each of some slots, drawn from its seed (32 bits)."""
        self._seeds[list(slots)] = np.array(seeds, np.uint32)
        self._soups[list(slots)] = 0
        return self._called(self.kitchen.begin, slots)[0]

    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        """Take the joint actions, integers (slots, 2), in some slots."""
        views, numbers = self._called(self.kitchen.go_on, slots, self._memories[list(slots)], actions.astype(np.int32))
        return [self._outcome(slot, view, *each) for slot, view, each in zip(slots, views, numbers, strict=True)]

    def _called(
        self, function: Callable[..., jax.Array], slots: Sequence[int], *arguments: np.ndarray
    ) -> tuple[list[View], list[list[float]]]:
        columns = (self._seeds[list(slots)], *arguments)
        told = [
            call(function, [column[first : first + MOST] for column in columns]) for first in range(0, len(slots), MOST)
        ]
        memories, views, numbers = self.kitchen.read(np.concatenate(told))
        self._memories[list(slots)] = memories
        return views, numbers

    def _outcome(self, slot: int, view: View, reward: float, shaped: float, steps: float) -> Outcome:
        self._soups[slot] += reward / DELIVERY
        info = {"soups": float(self._soups[slot])}
        return Outcome(reward + self.shaping * shaped, False, steps == self.info.episode_limit, info, view)

    def get_stats(self) -> dict[str, float]:
        """Return nothing: kitchens have no troubles to count."""
        return {}

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
