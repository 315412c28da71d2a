"""Which number belongs to which row of a segment: actions, rewards, ends, absence; each shifted by one fails here."""

import numpy as np
import pytest
import torch as th
import toy_dreams as toy

from components.segments import Segments
from envs.action_spaces import Continuous, Discrete, MultiDiscrete
from learners.model_losses import goes_on, segment_of
from modules.worlds.actions import encode_actions

ACTIONS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])


def one(rows=None, first=(0,), last=(), ended=(), cut_off=False):
    """Segments of one episode of four steps, its rows in the order given."""
    batch = toy.episode(ACTIONS, cut_off)
    rows = list(range(5)) if rows is None else rows
    storage = batch.storage[:, rows]
    part = type(batch)(batch.scheme, batch.groups, 1, len(rows), storage)
    flags = [th.zeros(1, len(rows), dtype=th.bool) for _ in range(3)]
    for flag, places in zip(flags, (first, last, ended), strict=True):
        flag[0, list(places)] = True
    return Segments(part, *flags)


def test_what_arrives_with_a_row_is_the_transition_that_led_there():
    segment = toy.segment(one(last=(4,)))
    for t in range(1, 5):
        th.testing.assert_close(segment.reward[0, t], th.tensor((t - 1) / 10 + ACTIONS[t - 1]).float())
    assert segment.reward[0, 0].eq(0).all()  # masked: nothing led to a first row
    assert segment.goes_on[0, :, 0].tolist() == [1, 1, 1, 1, 0]


def test_an_action_stands_at_the_row_it_follows():
    segment = toy.segment(one(last=(4,)))
    for t in range(4):
        assert segment.actions[0, t].argmax(-1).tolist() == ACTIONS[t].tolist()
    assert segment.actions[0, 4].eq(0).all()
    assert segment.acted[0].tolist() == [True] * 4 + [False]


def test_a_first_row_in_the_middle_has_nothing_from_the_episode_before():
    segment = toy.segment(one(rows=[3, 4, 0, 1], first=(0, 2), last=(1,)))
    assert segment.goes_on[0, :, 0].tolist() == [1, 0, 1, 1]
    assert segment.reward[0, 2].eq(0).all()
    th.testing.assert_close(segment.reward[0, 1], th.tensor([0.3, 0.3]))
    th.testing.assert_close(segment.reward[0, 3], th.tensor([0.0, 1.0]))


def test_in_an_episode_that_has_ended_nothing_goes_on():
    stays = one(rows=[3, 4, 4, 4], last=(1,), ended=(2, 3))
    assert goes_on(stays["terminated"].squeeze(-1), stays, False)[0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("ends, expected", [(False, 1.0), (True, 0.0)])
def test_a_time_limit_is_an_end_only_if_asked_for(ends, expected):
    segments = one(last=(4,), cut_off=True)
    assert toy.segment(segments, cut_off_ends=ends).goes_on[0, :, 0].tolist() == [1, 1, 1, 1, expected]
    # An episode's last row, drawn as a segment's first: nothing arrived there.
    alone = one(rows=[4, 0], first=(0, 1), last=(0,), cut_off=True)
    assert goes_on(alone["terminated"].squeeze(-1), alone, ends)[0].tolist() == [1, 1]


def test_an_absent_agent_goes_on_no_more_while_the_team_has_its_reward():
    segments = one(last=(4,))
    segments.rows.array("avail_actions")[0, 2:4, 0] = [True, False]  # agent 0 may only do nothing
    segment = toy.segment(segments, noop=0)
    assert segment.absent[0].tolist() == [[False] * 2] * 2 + [[True, False]] * 2 + [[False] * 2]
    assert segment.goes_on[0].tolist() == [[1, 1], [1, 1], [0, 1], [0, 1], [0, 0]]
    th.testing.assert_close(segment.reward[0, 3], th.tensor([1.2, 0.2]))
    assert segment.obs[0, 2, 0].ne(0).any()  # as it was seen


def test_absorbing_states_see_nothing_and_do_nothing():
    segments = one(rows=[2, 3, 4, 4, 4], last=(2,), ended=(3, 4))
    segments.rows.array("avail_actions")[0, 1, 1] = [True, False]
    segment = toy.segment(segments, absorbing=True, noop=0)
    for t, i in ((1, 1), (3, 0), (3, 1), (4, 0), (4, 1)):
        assert segment.absent[0, t, i] and segment.obs[0, t, i].eq(0).all()
        assert segment.avail[0, t, i].tolist() == [True, False]
        assert segment.actions[0, t, i].tolist() == [1, 0]
        assert segment.goes_on[0, t, i] == 0
    assert segment.reward[0, 3:].eq(0).all() and segment.state[0, 3:].eq(0).all()
    th.testing.assert_close(segment.reward[0, 2], th.tensor([0.3, 0.3]))  # the last real reward arrives still
    assert segment.obs[0, 1, 0].ne(0).any() and segment.state[0, 2].ne(0).any()


def test_a_reward_of_the_team_is_everybodys():
    segments = one(last=(4,))
    scheme = {**toy.SCHEME, "reward": {"vshape": (1,), "dtype": th.float32}}
    batch = type(segments.rows)(scheme, toy.GROUPS, 1, 5)
    for name in ("obs", "state", "avail_actions", "actions", "terminated", "filled"):
        batch.array(name)[:] = segments.rows.array(name)
    batch.array("reward")[0, :, 0] = [1, 2, 3, 4, 0]
    segment = toy.segment(Segments(batch, segments.first, segments.last, segments.ended))
    assert segment.reward[0].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]


def test_actions_as_networks_read_them():
    assert encode_actions(th.tensor([[[2], [0]]]), Discrete(), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]
    parts = encode_actions(th.tensor([[1, 0]]), MultiDiscrete((2, 3)), 5)
    assert parts.tolist() == [[0, 1, 1, 0, 0]]
    low, high = np.array([[-2.0, 0.0]]), np.array([[2.0, np.inf]])
    numbers = encode_actions(th.tensor([[[1.0, 3.0]]]), Continuous(low, high), 2)
    assert numbers.tolist() == [[[0.5, 3.0]]]


def test_an_agent_without_numbers_to_set_is_absent():
    segments = one(last=(4,))
    segments.rows.array("avail_actions")[0, 3, 1] = False
    space = Continuous(np.full((toy.N, toy.A), -1.0), np.full((toy.N, toy.A), 1.0))
    scheme = {**toy.SCHEME, "actions": {"vshape": (toy.A,), "group": "agents", "dtype": th.float32}}
    batch = type(segments.rows)(scheme, toy.GROUPS, 1, 5)
    for name in ("obs", "state", "avail_actions", "reward", "terminated", "filled"):
        batch.array(name)[:] = segments.rows.array(name)
    segment = segment_of(Segments(batch, segments.first, segments.last, segments.ended), space, None, False, False)
    assert segment.absent[0].nonzero().tolist() == [[3, 1]]
