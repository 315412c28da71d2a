"""From action values to actions."""

from functools import cache

import numpy as np

UNAVAILABLE = -np.inf


def select_epsilon_greedy(
    q_values: np.ndarray, avail_actions: np.ndarray, epsilon: float, draws: np.ndarray | None
) -> np.ndarray:
    """Return actions (n, N) int64: greedy with probability 1 - ε, otherwise uniform over the available ones.

    Args:
        q_values: (n, N, A) float32 action values.
        avail_actions: (n, N, A) bool; an action that is False is never taken.
        epsilon: probability of a random action; 0 needs no draws.
        draws: (n, 2, N) uniform numbers in [0, 1): whether to explore, and which available action then.
    """
    greedy = np.where(avail_actions, q_values, UNAVAILABLE).argmax(axis=-1)
    if epsilon == 0.0:
        return greedy
    assert draws is not None, "exploring needs random draws"
    counts = avail_actions.cumsum(axis=-1)
    rank = np.floor(draws[:, 1] * counts[..., -1])
    random = (counts > rank[..., None]).argmax(axis=-1)
    return np.where(draws[:, 0] < epsilon, random, greedy)


def select_preferred(q_values: np.ndarray, avail_actions: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return actions (n, N) int64: greedy, or where an agent explores the available action that it prefers.

    Args:
        q_values: (n, N, A) float32 action values.
        avail_actions: (n, N, A) bool; an action that is False is never taken.
        draws: (n, 1 + A, N), a step of what `repeat_exploration` gives.
    """
    preferences = np.where(avail_actions, draws[:, 1:].swapaxes(-1, -2), UNAVAILABLE)
    greedy = select_epsilon_greedy(q_values, avail_actions, 0.0, None)
    return np.where(draws[:, 0] > 0, preferences.argmax(axis=-1), greedy)


def repeat_exploration(draws: np.ndarray, epsilon: float, exponent: float) -> np.ndarray:
    """Return by what agents explore in whole episodes where random actions are repeated.

    εz-greedy (Dabney, Ostrovski and Barreto, «Temporally-extended ε-greedy exploration», ICLR 2021): an agent that
    does not explore begins to with probability ε, prefers one action for n steps, n drawn with probability ∝
    n^-`exponent`, and is greedy again.

    Args:
        draws: (n, T, 2 + A, N) uniform numbers in [0, 1): whether to begin, how long, how each action is liked.
        epsilon: probability of beginning, at every step.
        exponent: μ, above 1.

    Returns:
        (n, T, 1 + A, N): 1 where the agent explores, else 0, and the preferences of the step at which it began.
    """
    begins, liked = draws[:, :, 0] < epsilon, draws[:, :, 2:]
    lengths = _lengths(exponent, draws.shape[1]).searchsorted(draws[:, :, 1], side="right") + 1  # (n, T, N)
    explores, since = np.zeros(begins.shape), np.zeros(begins.shape, dtype=np.int64)
    left, begun = np.zeros_like(since[:, 0]), np.zeros_like(since[:, 0])
    for t in range(draws.shape[1]):
        now = begins[:, t] & (left == 0)
        left, begun = np.where(now, lengths[:, t], left), np.where(now, t, begun)
        explores[:, t], since[:, t] = left > 0, begun
        left = np.maximum(left - 1, 0)
    return np.concatenate([explores[:, :, None], np.take_along_axis(liked, since[:, :, None], axis=1)], axis=2)


@cache  # a run asks for one of them, round after round
def _lengths(exponent: float, longest: int) -> np.ndarray:
    """Return P(n <= 1), …, P(n <= `longest`) of ζ's distribution over 1 … 10,000, the cap of its authors."""
    weights = np.arange(1, 10_001, dtype=np.float64) ** -exponent
    return (weights.cumsum() / weights.sum())[:longest]


def select_exploring(
    q_values: np.ndarray,
    explorer_values: np.ndarray,
    avail_actions: np.ndarray,
    epsilon: float | np.ndarray,
    random_share: float,
    draws: np.ndarray,
) -> np.ndarray:
    """Return actions (n, N) int64: an agent explores with probability ε, and is greedy otherwise.

    Args:
        q_values: (n, N, A) float32 action values.
        explorer_values: (n, N, A) float32, whose best action an agent takes that explores.
        avail_actions: (n, N, A) bool; an action that is False is never taken.
        epsilon: ε, or each agent's, (N,).
        random_share: probability of a random action where an agent explores.
        draws: (n, 3, N) uniform numbers in [0, 1): whether to explore, whether by chance, which available action then.
    """
    greedy = select_epsilon_greedy(q_values, avail_actions, 0.0, None)
    exploring = select_epsilon_greedy(explorer_values, avail_actions, random_share, draws[:, 1:])
    return np.where(draws[:, 0] < epsilon, exploring, greedy)
