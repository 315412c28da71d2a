"""Kitchens of Overcooked in batches, in JAX on the CPU; `envs.jax_groups` says how one program plays all sizes.

Letters: N cooks (two), R rows and C columns of a kitchen, 26 layers of what stands where.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from envs.jax_games import Games, Rules, laid_flat
from envs.jax_groups import jax, jnp, package
from envs.multiagentenv import EnvInfo, ObsImage, Outcome, View

ACTIONS = ("up", "down", "right", "left", "stay", "interact")
COOKS = ("agent_0", "agent_1")
DELIVERY = 20  # what the package pays for a soup


class Kitchen(Rules):
    """The rules of one layout."""

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
        self._compile(state)
        self._ends = np.cumsum((self.memory, len(COOKS) * size))

    def _begin(self, seed: jax.Array) -> jax.Array:
        return self._all(*self.env.reset(jax.random.PRNGKey(seed)), jnp.zeros(3))

    def _go_on(self, seed: jax.Array, memory: jax.Array, actions: jax.Array) -> jax.Array:
        state = self._remembered(memory)
        key = jax.random.fold_in(jax.random.PRNGKey(seed), state.step + 1)
        # `step_env` and not `step`, which would show the next episode's first state instead of the last one.
        obs, state, rewards, _, more = self.env.step_env(key, state, dict(zip(COOKS, actions, strict=True)))
        shaped = sum(more["shaped_reward"][name] for name in COOKS)
        return self._all(obs, state, jnp.array([rewards[COOKS[0]], shaped, state.step]))

    @staticmethod
    def _all(obs: dict[str, jax.Array], state: Any, numbers: jax.Array) -> jax.Array:
        """Return, laid flat: state, both observations, and reward, shaped reward, steps taken."""
        return laid_flat(state, *(obs[name] for name in COOKS), numbers)

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


class Kitchens(Games):
    """n episodes, one in each slot."""

    def __init__(self, rules: Kitchen, n: int, shaping: float) -> None:
        super().__init__(rules, n)
        self.shaping, self._soups = shaping, np.zeros(n)

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View]:
        """Begin an episode in each of some slots, drawn from its seed (32 bits)."""
        self._soups[list(slots)] = 0
        return super().reset(slots, seeds)

    def _outcome(self, slot: int, view: View, *numbers: float) -> Outcome:
        reward, shaped, steps = numbers
        self._soups[slot] += reward / DELIVERY
        info = {"soups": float(self._soups[slot])}
        return Outcome(reward + self.shaping * shaped, False, steps == self.info.episode_limit, info, view)
