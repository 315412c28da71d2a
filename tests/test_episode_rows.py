"""Rows of a batch: packed and padded say the same, and the rows around a transition belong to it."""

import pytest
import torch as th
from fixtures_mmsa import drifted, make_batch, make_learner, padded, with_garbage

from components.episode_rows import EpisodeRows

EPISODES = [
    ((6, "terminated"), (4, "truncated"), (1, "terminated"), (6, "truncated"), (2, "truncated")),
    ((1, "terminated"),),
    ((3, "terminated"), (3, "truncated")),
]


def numbered(batch, steps):
    """Return (B, steps, 2) with every row's episode and step."""
    B = batch.batch_size
    return th.stack(th.meshgrid(th.arange(B), th.arange(steps), indexing="ij"), dim=-1)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("episodes", EPISODES, ids=str)
@pytest.mark.parametrize("more", [0, 2])
def test_every_filled_row_and_every_transition_is_there_once(episodes, packed, more):
    batch = padded(make_batch(episodes), rows=more, episodes=more)
    rows, T = EpisodeRows(batch, packed), batch.max_seq_length - 1
    expected = {(b, t) for b, (length, _) in enumerate(episodes) for t in range(length + 1)}
    found = rows.take(numbered(batch, T + 1))[rows.mask == 1].tolist()
    assert len(found) == len(expected) and set(map(tuple, found)) == expected
    pairs = rows.take_pairs(numbered(batch, T))[rows.pair_mask == 1].tolist()
    expected = {(b, t) for b, (length, _) in enumerate(episodes) for t in range(length)}
    assert len(pairs) == len(expected) and set(map(tuple, pairs)) == expected
    if packed:
        assert rows.mask.all() and rows.pair_mask.all()


@pytest.mark.parametrize("packed", [True, False])
def test_a_transition_leads_from_its_row_to_the_next(packed):
    batch = make_batch(EPISODES[0])
    rows, T = EpisodeRows(batch, packed), batch.max_seq_length - 1
    places, pairs = rows.take(numbered(batch, T + 1)), rows.take_pairs(numbered(batch, T))
    assert th.equal(rows.now(places), pairs)
    assert th.equal(rows.then(places), pairs + th.tensor([0, 1]))
    for after in range(len(rows.sizes) - 1):  # from here on, those that are so many steps in
        assert (places[:, 1] >= after).all() and places[0, 1] == after
        assert th.equal(rows.then(places, after), rows.now(places, after) + th.tensor([0, 1]))
        places = rows.then(places, after)
    places = rows.take(numbered(batch, T + 1))
    step_by_step = [places[first : first + size, 1].unique().tolist() for first, size in starts(rows.sizes)]
    assert step_by_step == [[t] for t in range(len(rows.sizes))]


def starts(sizes):
    first = 0
    for size in sizes:
        yield first, size
        first += size


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_spread_comes_back(packed):
    batch = make_batch(EPISODES[0])
    rows = EpisodeRows(batch, packed)
    x = th.randn(len(rows.pair_mask), 3)
    spread = rows.spread_pairs(x)
    assert spread.shape == (batch.batch_size, batch.max_seq_length - 1, 3)
    assert th.equal(rows.take_pairs(spread), x)
    if packed:
        assert not spread[batch["filled"][:, 1:, 0] == 0].any()


@pytest.mark.parametrize("config", ["iql", "qmix", "mmsa", "mmsa_paper"])
@pytest.mark.parametrize("settings", [{}, {"rec_target": "next"}, {"wm_hidden": "online"}], ids=str)
def test_padding_that_is_computed_and_padding_that_is_not_give_the_same_losses_and_gradients(config, settings):
    if not config.startswith("mmsa"):
        settings = {}
    else:
        settings = settings | {"wm_sample": False, "rollout_sample": False}
    learner = drifted(make_learner(config, **settings))
    batch = padded(with_garbage(make_batch()), rows=2, episodes=1)
    forms = [learner.losses(EpisodeRows(batch, packed))[0] for packed in (True, False)]
    th.testing.assert_close(*forms, rtol=1e-5, atol=1e-6)
    grads = [th.autograd.grad(sum(form.values()), learner.parameters) for form in forms]
    th.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)
