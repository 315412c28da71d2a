"""Replay: which episodes are kept, and which are drawn."""

import numpy as np
import pytest
import torch as th

from components.episode_batch import EpisodeBatch, episode_scheme
from components.replay_buffer import ReplayBuffer

GROUPS = {"agents": 2}
T = 6
SCHEME = episode_scheme(obs_size=3, state_size=4, n_actions=5, obs_dtype=th.int8, state_dtype=th.float32)


def episodes(*numbers, lengths=None):
    """Episodes of T-1 actions (or `lengths`), every byte of their rows random; their number is the first reward."""
    batch = EpisodeBatch(SCHEME, GROUPS, len(numbers), T)
    for row, number in enumerate(numbers):
        n_rows = (lengths[row] if lengths else T - 1) + 1
        noise = np.random.default_rng(number).integers(256, size=(n_rows, batch.record))
        batch.storage[row, :n_rows] = th.from_numpy(noise).to(th.uint8)
        batch.update({"avail_actions": True, "terminated": False, "filled": False}, bs=row)
        batch.update({"filled": True}, bs=row, ts=slice(n_rows))
        batch.update({"reward": float(number)}, bs=row, ts=0)
    return batch


def buffer(size=5, seed=0):
    return ReplayBuffer(SCHEME, GROUPS, size, T, seed)


def numbers_in(batch):
    return batch.array("reward")[:, 0, 0].astype(int).tolist()


def held(replay):
    everything = replay.sample(replay.episodes_in_buffer)
    return sorted(numbers_in(everything))


def test_the_oldest_episodes_make_room():
    replay = buffer(5)
    replay.insert_episode_batch(episodes(1, 2, 3))
    assert held(replay) == [1, 2, 3]
    replay.insert_episode_batch(episodes(4, 5, 6))
    assert held(replay) == [2, 3, 4, 5, 6]
    replay.insert_episode_batch(episodes(7, 8, 9))
    assert held(replay) == [5, 6, 7, 8, 9]
    replay.insert_episode_batch(episodes(10, 11, 12, 13, 14))
    assert held(replay) == [10, 11, 12, 13, 14]


def test_it_can_sample_as_many_episodes_as_it_holds():
    replay = buffer(5)
    assert not replay.can_sample(1)
    replay.insert_episode_batch(episodes(1, 2))
    assert replay.can_sample(2) and not replay.can_sample(3)
    replay.insert_episode_batch(episodes(3, 4, 5))
    replay.insert_episode_batch(episodes(6, 7))
    assert replay.can_sample(5) and not replay.can_sample(6)


def test_a_sample_holds_different_episodes_and_none_of_the_empty_places():
    replay = buffer(50)
    replay.insert_episode_batch(episodes(*range(1, 13)))
    for _ in range(30):
        drawn = numbers_in(replay.sample(8))
        assert len(set(drawn)) == 8 and set(drawn) <= set(range(1, 13))
    assert sorted(numbers_in(replay.sample(12))) == list(range(1, 13))


def test_a_sample_is_bit_for_bit_what_was_inserted():
    inserted = {number: episodes(number) for number in range(1, 8)}
    replay = buffer(5)
    for one in inserted.values():
        replay.insert_episode_batch(one)
    sample = replay.sample(5)
    for row, number in enumerate(numbers_in(sample)):
        assert th.equal(sample.storage[row], inserted[number].storage[0])


def test_only_filled_rows_take_memory():
    replay, record = buffer(3), episodes(1).record
    replay.insert_episode_batch(episodes(1, 2, lengths=(1, 4)))
    assert replay.n_bytes == (2 + 5) * record
    replay.insert_episode_batch(episodes(3, 4, lengths=(3, 2)))
    assert replay.n_bytes == (5 + 4 + 3) * record


def test_a_sample_of_full_length_has_empty_rows_behind_every_episode():
    replay = buffer(3)
    replay.insert_episode_batch(episodes(1, 2, lengths=(1, 3)))
    sample = replay.sample(2, full_length=True)
    assert sample.max_seq_length == T
    rows = sample.array("filled").sum(axis=(1, 2))
    assert sorted(rows) == [2, 4]
    assert not any(sample.storage[b, n:].any() for b, n in enumerate(rows))


@pytest.mark.parametrize("lengths, rows", [((2, 4, 1), 5), ((1, 1, 1), 2), ((5, 1, 1), 6)])
def test_a_sample_is_cut_to_its_longest_episode(lengths, rows):
    replay = buffer(5)
    replay.insert_episode_batch(episodes(1, 2, 3, lengths=lengths))
    sample = replay.sample(3)
    assert sample.max_seq_length == sample.max_t_filled() == rows
    assert sorted(sample.array("filled").sum(axis=(1, 2))) == sorted(length + 1 for length in lengths)


def test_longer_episodes_that_are_not_drawn_do_not_lengthen_a_sample():
    replay = buffer(5)
    replay.insert_episode_batch(episodes(1, 2, 3, 4, 5, lengths=(1, 2, 3, 4, 5)))
    samples = [replay.sample(1) for _ in range(40)]
    assert [sample.max_seq_length for sample in samples] == [numbers_in(sample)[0] + 1 for sample in samples]
    assert len({sample.max_seq_length for sample in samples}) == 5


def test_nothing_is_left_of_a_longer_episode_in_the_same_place():
    replay = buffer(2)
    replay.insert_episode_batch(episodes(1, 2))
    replay.insert_episode_batch(episodes(3, 4, lengths=(1, 2)))
    assert replay.sample(2).max_seq_length == 3
    assert sorted(replay.sample(2).array("filled").sum(axis=(1, 2))) == [2, 3]


def test_the_same_seed_draws_the_same_samples():
    def samples(seed):
        replay = buffer(20, seed)
        replay.insert_episode_batch(episodes(*range(20)))
        return [numbers_in(replay.sample(6)) for _ in range(5)]

    assert samples(3) == samples(3)
    assert samples(3) != samples(4)


def test_every_episode_is_drawn_equally_often():
    replay = buffer(10)
    replay.insert_episode_batch(episodes(*range(10)))
    replay.insert_episode_batch(episodes(*range(10, 14)))
    rounds, size = 2000, 3
    counts = np.bincount([n for _ in range(rounds) for n in numbers_in(replay.sample(size))], minlength=14)
    assert counts[:4].sum() == 0
    expected = rounds * size / 10
    chi_square = ((counts[4:] - expected) ** 2 / expected).sum()
    assert chi_square < 27.9  # 9 degrees of freedom: exceeded by chance once in 1000


def test_a_sample_is_a_copy():
    replay = buffer(3)
    replay.insert_episode_batch(episodes(1, 2, 3))
    replay.sample(3).storage.zero_()
    assert held(replay) == [1, 2, 3]


def test_a_stored_episode_is_a_copy():
    replay, batch = buffer(3), episodes(1, 2, 3)
    replay.insert_episode_batch(batch)
    batch.storage.zero_()
    assert held(replay) == [1, 2, 3]


def test_batches_of_another_length_are_refused():
    with pytest.raises(AssertionError):
        buffer().insert_episode_batch(EpisodeBatch(SCHEME, GROUPS, 1, T - 1))


def test_a_share_of_a_sample_brought_a_reward_as_far_as_there_are_any():
    replay = buffer(100)
    replay.insert_episode_batch(without_rewards(*range(1, 61)))
    replay.sample(8, rewarded_share=0.5)  # where none did, all are alike
    replay.insert_episode_batch(rewarded_at_the_end(61, 62, 63))
    for share, least in ((0.5, 3), (0.25, 2), (0.0, 0)):
        counts = [n_rewarded(replay.sample(8, rewarded_share=share)) for _ in range(200)]
        assert min(counts) == least
        assert least <= np.mean(counts) < least + 0.5  # the others are drawn from all that are left
    drawn = set()
    for _ in range(100):
        batch = replay.sample(8, rewarded_share=0.25)
        assert len({episode.numpy().tobytes() for episode in batch.storage}) == 8
        drawn.update(batch.array("reward")[:, -2, 0].tolist())
    assert drawn >= {61.0, 62.0, 63.0}


def test_rewarded_episodes_that_made_room_are_forgotten():
    replay = buffer(10)
    replay.insert_episode_batch(rewarded_at_the_end(*range(1, 6)))
    replay.insert_episode_batch(without_rewards(*range(6, 13)))
    assert {n_rewarded(replay.sample(4, rewarded_share=1.0)) for _ in range(50)} == {3}  # 3, 4 and 5 are left


def test_a_restored_replay_draws_the_rewarded_episodes_that_it_would_have_drawn():
    replay, again = buffer(20), buffer(20, seed=9)
    replay.insert_episode_batch(without_rewards(*range(1, 20)))
    replay.insert_episode_batch(rewarded_at_the_end(20, 21, 22))
    kept = [episode.clone() for episode in replay.since(replay.oldest)]
    again.restore(replay.inserted, kept, replay.rng_state())
    for _ in range(10):
        ours, theirs = (r.sample(6, rewarded_share=0.5).storage for r in (replay, again))
        assert th.equal(ours, theirs)


def test_without_a_share_the_draws_are_those_of_before_there_was_one():
    replay = buffer(50, seed=4)
    replay.insert_episode_batch(episodes(*range(1, 41)))
    wanted = np.random.default_rng(4).choice(40, 8, replace=False) + 1
    assert numbers_in(replay.sample(8)) == wanted.tolist()


def without_rewards(*numbers):
    batch = episodes(*numbers)
    batch.update({"reward": 0.0})
    return batch


def rewarded_at_the_end(*numbers):
    batch = without_rewards(*numbers)
    for row, number in enumerate(numbers):
        batch.update({"reward": float(number)}, bs=row, ts=T - 2)
    return batch


def n_rewarded(batch):
    return int(batch.array("reward").any(axis=(1, 2)).sum())
