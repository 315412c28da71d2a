"""What an agent may do in one step: take one of A actions, set C numbers, or make P choices.

All agents have spaces of one kind and size; those with less leave the rest unused, see `MultiAgentEnv`.
Letters: N agents, A actions, C numbers, P parts, W the width of `avail_actions` (N, W).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np


@dataclass(frozen=True)
class Discrete:
    """One of A actions, an integer in [0, A); A is the environment's `n_actions`, and W."""

    kind: ClassVar[Literal["discrete"]] = "discrete"

    @property
    def size(self) -> int:
        """How many numbers an agent's action is: 1."""
        return 1


@dataclass(frozen=True, eq=False)
class Continuous:
    """C numbers, each in [`low`, `high`], float32 arrays (N, C), which may be infinite; W = C.

    Numbers beyond the bounds are allowed: the environment takes the nearest bound. What an agent lacks is unavailable,
    and its bounds are -1 and 1.
    """

    low: np.ndarray
    high: np.ndarray
    kind: ClassVar[Literal["continuous"]] = "continuous"

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.ndim != 2:
            raise ValueError(f"bounds of shapes {self.low.shape} and {self.high.shape}: must be (N, C) both")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Continuous):
            return False
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)

    def __hash__(self) -> int:
        return hash((self.low.tobytes(), self.high.tobytes()))

    @property
    def size(self) -> int:
        """How many numbers an agent's action is: C."""
        return self.low.shape[1]


@dataclass(frozen=True)
class MultiDiscrete:
    """P choices at once, the p-th an integer in [0, sizes[p]); W = sum(sizes), part after part.

    An agent without a part, or one that is gone, has that part's first choice alone.
    """

    sizes: tuple[int, ...]
    kind: ClassVar[Literal["multidiscrete"]] = "multidiscrete"

    @property
    def size(self) -> int:
        """How many numbers an agent's action is: P."""
        return len(self.sizes)


ActionSpace = Discrete | Continuous | MultiDiscrete


def random_actions(space: ActionSpace, available: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a joint action drawn evenly from what is available (N, W), as `MultiAgentEnv.step` takes it.

    Where a bound is infinite a number is drawn from [-1, 1], moved so that it fits; unavailable numbers are 0.
    """
    if space.kind == "continuous":
        low = np.where(np.isfinite(space.low), space.low, np.where(np.isfinite(space.high), space.high - 2, -1))
        high = np.where(np.isfinite(space.high), space.high, low + 2)
        return np.where(available, rng.uniform(low, high), 0).astype(np.float32)
    if space.kind == "discrete":
        return _choices(available, rng)
    parts = np.split(available, np.cumsum(space.sizes)[:-1], axis=1)
    return np.stack([_choices(part, rng) for part in parts], axis=1)


def _choices(available: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(np.flatnonzero(row)) for row in available])
