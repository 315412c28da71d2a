"""Streams of random numbers: told apart by purpose and number, and by nothing else."""

from itertools import product

import numpy as np

from training.seeding import Stream, episode_streams, seed_number, seed_sequence


def drawn(seed, stream, *numbers):
    env_seed, generator = episode_streams(seed, stream, *numbers)
    return env_seed, generator.random(4).tolist()


def test_a_stream_is_the_same_whenever_it_is_asked_for():
    first = [drawn(5, Stream.TRAIN_EPISODE, number) for number in range(6)]
    again = [drawn(5, Stream.TRAIN_EPISODE, number) for number in reversed(range(6))]
    assert first == again[::-1]


def test_seed_purpose_and_number_each_make_another_stream():
    keys = list(product((0, 1, 2**32 - 1), (Stream.TRAIN_EPISODE, Stream.TEST_EPISODE), (0, 1, 7)))
    keys += [(1, Stream.TEST_EPISODE, 1, 23), (1, Stream.TEST_EPISODE, 12, 3), (1, Stream.TEST_EPISODE, 1, 0)]
    streams = [drawn(*key) for key in keys]
    assert len({env_seed for env_seed, _ in streams}) == len(keys)
    assert len({tuple(numbers) for _, numbers in streams}) == len(keys)


def test_every_purpose_has_its_own_number():
    assert len(set(map(int, Stream))) == len(Stream)
    assert len({seed_number(3, stream) for stream in Stream}) == len(Stream)


def test_thousands_of_episodes_share_no_environment_seed():
    train = {episode_streams(1, Stream.TRAIN_EPISODE, number)[0] for number in range(1500)}
    test = {episode_streams(1, Stream.TEST_EPISODE, t, number)[0] for t in (0, 10_000) for number in range(250)}
    assert len(train) == 1500 and len(test) == 500 and not train & test


def test_exploration_does_not_repeat_the_environments_numbers():
    env_seed, generator = episode_streams(1, Stream.TRAIN_EPISODE, 0)
    assert not np.isin(generator.random(100), np.random.default_rng(env_seed).random(100)).any()


def test_environment_seeds_fit_32_bits():
    assert all(0 <= episode_streams(1, Stream.TRAIN_EPISODE, n)[0] < 2**32 for n in range(100))


def test_numbers_follow_the_seed_sequence_of_the_run():
    wanted = np.random.SeedSequence(entropy=9, spawn_key=(int(Stream.REPLAY), 4)).generate_state(1)[0]
    assert seed_number(9, Stream.REPLAY, 4) == wanted
    assert seed_sequence(9, Stream.REPLAY, 4).entropy == 9


def test_streams_of_old_archives_can_be_drawn_again():
    """Renumbering the streams would break every archived seed; numpy keeps these values for ever."""
    numbers = {stream.name: seed_number(1, stream) for stream in Stream}
    assert numbers == {
        "TRAIN_EPISODE": 1641411168,
        "TEST_EPISODE": 1454127163,
        "TORCH": 2749604155,
        "REPLAY": 3056722145,
        "INSPECTED_EPISODE": 3734005922,
        "ABSOLUTE_EPISODE": 480482724,
        "THREADS_TRIAL": 1227430691,
    }
    env_seed, exploration = drawn(1, Stream.TEST_EPISODE, 10_000, 0)
    assert env_seed == 4216716087
    assert exploration[:2] == [0.6755776710657597, 0.26887225562010664]
