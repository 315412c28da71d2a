"""Every random number of a run comes from its one seed, by name.

A stream is known by what it is for and its number, never by who happens to draw first. So an episode is the same
whichever runner, worker or slot plays it, and an evaluation can be repeated from a checkpoint.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream of random numbers is for."""

    TRAIN_EPISODE = 0
    TEST_EPISODE = 1
    TORCH = 2
    REPLAY = 3
    INSPECTED_EPISODE = 4
    ABSOLUTE_EPISODE = 5
    THREADS_TRIAL = 6


def seed_sequence(seed: int, stream: Stream, *numbers: int) -> np.random.SeedSequence:
    """Return the seed sequence of a stream; `numbers` tell its members apart (an episode's number, say)."""
    return np.random.SeedSequence(entropy=seed, spawn_key=(int(stream), *numbers))


def seed_number(seed: int, stream: Stream, *numbers: int) -> int:
    """Return one 32-bit seed of a stream, for libraries that take a number."""
    return int(seed_sequence(seed, stream, *numbers).generate_state(1)[0])


def episode_streams(seed: int, stream: Stream, *numbers: int) -> tuple[int, np.random.Generator]:
    """Return an episode's environment seed (32 bits) and the generator of its exploration."""
    for_env, for_actions = seed_sequence(seed, stream, *numbers).spawn(2)
    return int(for_env.generate_state(1)[0]), np.random.default_rng(for_actions)
