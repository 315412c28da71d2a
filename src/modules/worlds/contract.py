"""What world models are given and what they give back.

Time, once and for all: row t holds the observation o_t and the availability; action a_t is taken after it, and the
reward r_t and whether the task goes on *arrive* with row t+1. So a `Segment` holds, at row t, the action that follows
the row and what arrived with it, and nothing arrives with a row that is `first`.

Letters: B segments, T rows, N agents, I observation size, S state size, W actions that can be available, V size of an
action as networks read it, H, Z = G·C, F = H + Z features; K starting points and L steps of imagination.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch as th
from torch import Tensor

Scalars = dict[str, Tensor]
# What an actor does at K imagined rows: features (K, N, F), available (K, N, W) -> actions (K, N, ·), their
# log-probabilities (K, N), and the actions as networks read them (K, N, V).
Actor = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class Segment(NamedTuple):
    """B stretches of experience, T rows each; `learners.model_losses.segment_of` makes one from what replay gives."""

    obs: Tensor  # (B, T, N, I)
    state: Tensor  # (B, T, S)
    avail: Tensor  # (B, T, N, W) bool
    actions: Tensor  # (B, T, N, V): a_t, zeros where none follows the row
    first: Tensor  # (B, T) bool: nothing led to this row
    acted: Tensor  # (B, T) bool: an action follows this row
    reward: Tensor  # (B, T, N): r_{t-1}
    goes_on: Tensor  # (B, T, N): c_{t-1}, 0 or 1
    absent: Tensor  # (B, T, N) bool


class State(NamedTuple):
    """What a model knows at a row: ``h (…, N, H)`` and ``z (…, N, Z)``."""

    h: Tensor
    z: Tensor


class Decoded(NamedTuple):
    """What a model says of a row: a head's outputs for the reward that arrived (…, N, ·), and logits."""

    reward: Tensor  # (…, N, size of the head)
    goes_on: Tensor  # (…, N)
    avail: Tensor  # (…, N, W)
    absent: Tensor | None = None  # (…, N), where absence is predicted


class Observed(NamedTuple):
    """What `observe` found: the states at every row, those before, and the distributions of the latents by level."""

    states: Any  # (B, T, N, …) each
    before: Any  # of the row before; zeros in front of a first row
    posterior: tuple[Tensor, ...]  # log_p (B, T, N, G, C)
    prior: tuple[Tensor, ...]


class Dream(NamedTuple):
    """K imagined trajectories of L steps: rows 0 … L, the first being real."""

    states: Any  # (K, L+1, N, …) each
    avail: Tensor  # (K, L, N, W) bool: what could be done at rows 0 … L-1
    actions: Tensor  # (K, L, N, …)
    log_probs: Tensor  # (K, L, N): of those actions, by who took them
    reward: Tensor  # (K, L, N): what arrived with rows 1 … L
    goes_on: Tensor  # (K, L, N): the probability that the task goes on at rows 1 … L
    absent: Tensor  # (K, L, N) bool: of rows 0 … L-1


def each(function: Callable[..., Tensor], *states: Any) -> Any:
    """Apply a function to every part of a state, or of several states of one kind."""
    return type(states[0])(*map(function, *states))


def one_step_earlier(x: Tensor, first: Tensor) -> Tensor:
    """Return at every row what stands at the row before, (B, T, …): zeros where the row is ``first (B, T)``."""
    earlier = th.cat([th.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
    return earlier.masked_fill(first.view(*first.shape, *[1] * (x.dim() - 2)), 0.0)


def who_is_absent(avail: Tensor, discrete: bool, noop: int | None) -> Tensor:
    """Return which agents are gone: those that can do nothing but `noop`, or no number of whose exists: (…, N) bool.

    Args:
        avail: (…, N, W) bool.
        discrete: whether W counts actions; otherwise it counts numbers.
        noop: the action of agents that are gone; None where none ever is.
    """
    if not discrete:
        return ~avail.any(dim=-1)
    if noop is None:
        return th.zeros_like(avail[..., 0])
    return avail[..., noop] & (avail.sum(dim=-1) == 1)
