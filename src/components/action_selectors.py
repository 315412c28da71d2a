"""From action values to actions."""

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
