"""Segments out of replay: which rows follow which, what is flagged, what is drawn how often, exact resume."""

import numpy as np
import pytest
import torch as th
import toy_dreams as toy

from components.segments import SegmentReplay


def steps_of(segments):
    """Which step each row shows, (B, T)."""
    return segments["obs"][:, :, 0, : toy.END + 1].argmax(dim=-1)


def test_rows_follow_one_another_and_an_episode_the_one_before():
    segments = toy.replay(lengths=(3, 5, 4)).sample(200, 9)
    steps, first, last = steps_of(segments), segments["first"], segments["last"]
    assert first[:, 0].all() and not segments["ended"].any()
    inside = steps[:, 1:] == steps[:, :-1] + 1
    assert (inside ^ first[:, 1:]).all()  # the next step, or an episode's first row, which is flagged
    assert (steps[:, 1:][first[:, 1:]] == 0).all()
    assert last[:, :-1].equal(first[:, 1:])
    assert set(steps[last].tolist()) == {3, 4, 5}
    assert set(steps[:, 0].tolist()) == set(range(5))  # begins where an action follows: never at a last row


def test_every_row_that_an_action_follows_is_as_likely_to_be_the_first():
    segments = toy.replay(lengths=(2, 6)).sample(8000, 2)
    counts = np.bincount(steps_of(segments)[:, 0], minlength=6) / 8000
    np.testing.assert_allclose(counts, [2 / 8, 2 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8], atol=0.02)


@pytest.mark.parametrize("stay", [0, 2, None])
def test_a_terminated_episode_is_stayed_in_and_one_cut_off_is_not(stay):
    ended = toy.replay(lengths=(3,)).sample(50, 12, absorbing=stay)
    cut = toy.replay(lengths=(3,), cut_off=True).sample(50, 12, absorbing=stay)
    assert not cut["ended"].any()
    stayed_in = 12 if stay is None else stay
    for flags, steps in zip(ended["ended"].tolist(), steps_of(ended).tolist(), strict=True):
        episode = [(step, False) for step in range(4)] + [(3, True)] * stayed_in
        slow = (episode * 12)[steps[0] :][:12]
        assert list(zip(steps, flags, strict=True)) == slow


def test_segments_can_be_drawn_so_that_they_hold_a_reward():
    """Of 40 episodes one has rewards: half of the segments are to hold one of these."""
    replay = SegmentReplay(toy.SCHEME, toy.GROUPS, 1000, toy.END + 1, seed=0)
    for k in range(40):
        batch = toy.episode(np.zeros((toy.END, toy.N), dtype=int))
        batch.array("reward")[:] = 0
        if k == 17:
            batch.array("reward")[0, 11] = 1
        replay.insert_episode_batch(batch)
    plain, sought = (replay.sample(2000, 4, rewarded_share=share)["reward"] for share in (0.0, 0.5))
    # A reward at a segment's last row has not arrived within it.
    held = [(rewards[:, :-1].sum(dim=(1, 2)) > 0).float().mean() for rewards in (plain, sought)]
    assert held[0] < 0.02 and held[1] == pytest.approx(0.5, abs=0.04)


def test_without_any_reward_all_rows_are_as_likely():
    replay = SegmentReplay(toy.SCHEME, toy.GROUPS, 1000, toy.END + 1, seed=0)
    batch = toy.episode(np.zeros((toy.END, toy.N), dtype=int))
    batch.array("reward")[:] = 0
    replay.insert_episode_batch(batch)
    assert len(set(steps_of(replay.sample(400, 2, rewarded_share=1.0))[:, 0].tolist())) == toy.END


def test_capacity_is_in_steps_and_the_oldest_episodes_go():
    replay = toy.replay(lengths=(10, 10, 10, 5), capacity=24)
    assert (replay.oldest, replay.inserted, replay.steps) == (2, 4, 15)
    assert [len(episode) for episode in replay.since(2)] == [11, 6]


def test_a_replay_too_small_for_an_episode_is_refused():
    with pytest.raises(ValueError, match="cannot hold an episode"):
        SegmentReplay(toy.SCHEME, toy.GROUPS, toy.END - 1, toy.END + 1, seed=0)


def test_what_is_restored_goes_on_bit_for_bit():
    replay = toy.replay(lengths=(10, 7, 10, 5, 9), capacity=30)
    replay.sample(3, 6)
    again = SegmentReplay(toy.SCHEME, toy.GROUPS, 30, toy.END + 1, seed=99)
    again.restore(replay.inserted, replay.since(replay.oldest), replay.rng_state())
    for _ in range(3):
        ours, theirs = (r.sample(8, 9, absorbing=1, rewarded_share=0.5) for r in (replay, again))
        assert ours.rows.storage.equal(theirs.rows.storage)
        assert all(ours[name].equal(theirs[name]) for name in ("first", "last", "ended"))
        for r in (replay, again):
            r.insert_episode_batch(toy.episode(np.ones((4, toy.N), dtype=int)))
    assert (replay.oldest, replay.steps) == (again.oldest, again.steps)


@pytest.mark.parametrize("bad", [th.zeros(5, 3, dtype=th.uint8), th.zeros(1, 1), th.zeros(50, 1)])
def test_episodes_of_another_form_are_refused(bad):
    with pytest.raises(ValueError, match="another form"):
        toy.replay(lengths=()).restore(1, [bad], np.random.default_rng(0).bit_generator.state)
