"""Fresh episodes: each is given once, and those that wait come back from disk as they were."""

import pytest
import torch as th
from fixtures_mmsa import GROUPS, SCHEME, make_batch, padded

from components import EXPERIENCES


def fresh():
    return EXPERIENCES["fresh"](SCHEME, GROUPS, 5000, 10, seed=1)


def wide(batch):
    return padded(batch, rows=10 - batch.max_seq_length)


def test_every_episode_is_given_once_and_only_when_enough_wait():
    experience = fresh()
    first, second = (wide(make_batch([(length, "terminated")] * 2)) for length in (3, 5))
    experience.insert_episode_batch(first)
    assert experience.take(3, 0) is None and (experience.oldest, experience.inserted) == (0, 2)
    experience.insert_episode_batch(second)
    batch = experience.take(3, 0)
    assert (batch.batch_size, batch.max_seq_length) == (4, 6)
    assert th.equal(batch.storage[:2, :4], first.storage[:, :4]) and th.equal(batch.storage[2:], second.storage[:, :6])
    assert experience.take(1, 0) is None and (experience.oldest, experience.inserted, experience.n_bytes) == (4, 4, 0)


def test_steps_are_waited_for_besides_episodes():
    experience = fresh()
    experience.insert_episode_batch(wide(make_batch([(3, "terminated"), (2, "truncated")])))
    assert experience.steps == 5 and experience.take(2, 6) is None
    experience.insert_episode_batch(wide(make_batch([(1, "terminated")])))
    assert experience.take(4, 6) is None
    assert experience.take(2, 6).batch_size == 3 and experience.steps == 0


def test_what_is_kept_does_not_change_with_the_batch_it_came_from():
    experience, batch = fresh(), wide(make_batch([(3, "terminated")]))
    experience.insert_episode_batch(batch)
    kept = experience.since(0)[0].clone()
    batch.storage.zero_()
    assert th.equal(experience.since(0)[0], kept)


def test_those_that_wait_come_back():
    experience = fresh()
    experience.insert_episode_batch(wide(make_batch([(3, "terminated")] * 3)))
    experience.take(1, 0)
    experience.insert_episode_batch(wide(make_batch([(2, "truncated"), (4, "truncated")])))
    again = fresh()
    again.restore(experience.inserted, experience.since(experience.oldest), experience.rng_state())
    assert (again.oldest, again.inserted) == (3, 5)
    assert [len(episode) for episode in again.since(4)] == [5]
    assert th.equal(again.take(2, 0).storage, experience.take(2, 0).storage)


def test_episodes_of_another_task_are_refused():
    with pytest.raises(ValueError, match="another form"):
        fresh().restore(1, [th.zeros(3, 5, dtype=th.uint8)], {})
