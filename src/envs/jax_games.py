"""Games of a package in JAX, in batches: their state is kept laid flat between calls.

Letters: N agents, W the width of a group; `envs.jax_groups` says how one program plays batches of all sizes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from envs.jax_groups import MOST, call, in_groups, jax, jnp
from envs.multiagentenv import EnvBatch, EnvInfo, Outcome, View


class Rules(ABC):
    """The rules of a task as two compiled functions, `begin` and `go_on`, over up to `MOST` games at once.

    Both take the number of groups to play first, then arrays (MOST, …). A game draws from the key of its seed, at
    every step from another branch of it. What a call gives is one array (MOST, …) float32, which saves more time than
    the copying costs; `read` takes it apart. It begins with the package's own state, laid flat: (MOST, `memory`), which
    the next call is given. Its integers are small, so float32 holds them.
    """

    env: Any
    info: EnvInfo

    def _compile(self, state: Any) -> None:
        """Compile both for a package's state of this structure."""
        self._leaves, self._structure = jax.tree.flatten(state)
        self.memory = sum(leaf.size for leaf in self._leaves)
        self.begin, self.go_on = jax.jit(in_groups(self._begin)), jax.jit(in_groups(self._go_on))

    @abstractmethod
    def _begin(self, seed: jax.Array) -> jax.Array:
        """Return all about a game's first state."""

    @abstractmethod
    def _go_on(self, seed: jax.Array, memory: jax.Array, actions: jax.Array) -> jax.Array:
        """Return all about a game after a joint action (N,)."""

    @abstractmethod
    def read(self, told: np.ndarray) -> tuple[np.ndarray, list[View], list[list[float]]]:
        """Take (games, …) apart: the memories (games, `memory`); views; some numbers of each game."""

    def _remembered(self, memory: jax.Array) -> Any:
        """Return the package's state from its flat form."""
        ends = np.cumsum([leaf.size for leaf in self._leaves])[:-1]
        parts = zip(jnp.split(memory, ends), self._leaves, strict=True)
        return self._structure.unflatten([part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in parts])


def laid_flat(state: Any, *parts: jax.Array) -> jax.Array:
    """Return a package's state, then other arrays, in one row."""
    return jnp.concatenate([jnp.ravel(part).astype(jnp.float32) for part in (*jax.tree.leaves(state), *parts)])


class Games(EnvBatch):
    """n games, one in each slot."""

    def __init__(self, rules: Rules, n: int) -> None:
        self.rules, self.info = rules, rules.info
        self._seeds = np.zeros(n, np.uint32)
        self._memories = np.zeros((n, rules.memory), np.float32)

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View]:
        """Begin a game in each of some slots, drawn from its seed (32 bits)."""
        self._seeds[list(slots)] = np.array(seeds, np.uint32)
        return self._called(self.rules.begin, slots)[0]

    def step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome]:
        """Take the joint actions, integers (slots, N), in some slots."""
        views, numbers = self._called(self.rules.go_on, slots, self._memories[list(slots)], actions.astype(np.int32))
        return [self._outcome(slot, view, *each) for slot, view, each in zip(slots, views, numbers, strict=True)]

    @abstractmethod
    def _outcome(self, slot: int, view: View, *numbers: float) -> Outcome:
        """Return what a step led to, from the numbers that `Rules.read` gives."""

    def _called(
        self, function: Callable[..., jax.Array], slots: Sequence[int], *arguments: np.ndarray
    ) -> tuple[list[View], list[list[float]]]:
        """Call one of the rules' functions for some slots; return their views and numbers."""
        columns = (self._seeds[list(slots)], *arguments)
        told = [
            call(function, [column[first : first + MOST] for column in columns])
            for first in range(0, len(slots), MOST)
        ]
        memories, views, numbers = self.rules.read(np.concatenate(told) if len(told) > 1 else told[0])
        self._memories[list(slots)] = memories
        return views, numbers
