"""Rows of a batch: packed and padded say the same, and the rows around a transition belong to it."""

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import ONLINE, drifted, make_batch, make_learner, padded, with_garbage

from components.episode_rows import EpisodeRows, filled_up
from modules import linear

EPISODES = [
    ((6, "terminated"), (4, "truncated"), (1, "terminated"), (6, "truncated"), (2, "truncated")),
    ((1, "terminated"),),
    ((3, "terminated"), (3, "truncated")),
]
UNEVEN = ((9, "terminated"), (4, "truncated"), (1, "terminated"), (8, "truncated"), (2, "truncated"))  # 29 rows


def numbered(batch, steps):
    """Return (B, steps, 2) with every row's episode and step."""
    B = batch.batch_size
    return th.stack(th.meshgrid(th.arange(B), th.arange(steps), indexing="ij"), dim=-1)


HISTORIES = {"imagined_history_coef": 1, "imagined_history_steps": 3}
FORMS = {"packed": (True, False), "filled up": (True, True), "padded": (False, False)}


@pytest.fixture(params=FORMS)
def form(request):
    """What `EpisodeRows` is told besides the batch."""
    return FORMS[request.param]


@pytest.mark.parametrize("episodes", [*EPISODES, UNEVEN], ids=str)
@pytest.mark.parametrize("more", [0, 2])
def test_every_filled_row_and_every_transition_is_there_once(episodes, form, more):
    batch = padded(make_batch(episodes), rows=more, episodes=more)
    rows, T = EpisodeRows(batch, *form), batch.max_seq_length - 1
    expected = {(b, t) for b, (length, _) in enumerate(episodes) for t in range(length + 1)}
    found = rows.take(numbered(batch, T + 1))[rows.mask == 1].tolist()
    assert len(found) == len(expected) and set(map(tuple, found)) == expected
    pairs = rows.take_pairs(numbered(batch, T))[rows.pair_mask == 1].tolist()
    expected = {(b, t) for b, (length, _) in enumerate(episodes) for t in range(length)}
    assert len(pairs) == len(expected) and set(map(tuple, pairs)) == expected
    if form == FORMS["packed"]:
        assert rows.mask.all() and rows.pair_mask.all()


def test_a_transition_leads_from_its_row_to_the_next(form):
    batch = make_batch(UNEVEN)
    rows, T = EpisodeRows(batch, *form), batch.max_seq_length - 1
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


def test_what_is_spread_comes_back(form):
    batch = make_batch(UNEVEN)
    rows = EpisodeRows(batch, *form)
    x = th.randn(len(rows.pair_mask), 3)
    spread = rows.spread_pairs(x)
    assert spread.shape == (batch.batch_size, batch.max_seq_length - 1, 3)
    assert th.equal(rows.take_pairs(spread), x)
    if form == FORMS["packed"]:
        assert not spread[batch["filled"][:, 1:, 0] == 0].any()


@pytest.mark.parametrize("config", ["iql", "qmix", "mmsa", "mmsa_paper"])
@pytest.mark.parametrize("settings", [{}, {"rec_target": "next"}, ONLINE, HISTORIES], ids=str)
def test_padding_that_is_computed_and_padding_that_is_not_give_the_same_losses_and_gradients(config, settings):
    if not config.startswith("mmsa"):
        settings = {}
    else:
        settings = settings | {"wm_sample": False, "rollout_sample": False}
    learner = drifted(make_learner(config, **settings))
    batch = padded(with_garbage(make_batch(UNEVEN)), rows=2, episodes=1)
    assert [sum(EpisodeRows(batch, *form).sizes) for form in FORMS.values()] == [29, 30, 72]
    packed, *others = [learner.losses(EpisodeRows(batch, *form))[0] for form in FORMS.values()]
    for other in others:
        th.testing.assert_close(packed, other, rtol=1e-5, atol=1e-6)
    gradient, *others = [th.autograd.grad(sum(form.values()), learner.parameters) for form in (packed, *others)]
    for other in others:
        th.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["qmix", "mmsa"])
def test_a_learner_fills_rows_up_for_oneDNN_alone(name, monkeypatch):  # noqa: N802  its name
    sizes = []
    learner = make_learner(name, initial_slope="null")
    losses = learner.losses
    monkeypatch.setattr(learner, "losses", lambda rows: sizes.append(sum(rows.sizes)) or losses(rows))
    batch = make_batch(((9, "terminated"), (4, "truncated"), (1, "terminated")))
    for operator in (None, th.ops.aten.linear):
        monkeypatch.setattr(linear, "ONE_DNN", operator)
        monkeypatch.setattr(linear, "FEW_ROWS", 10**9)  # asked for nothing
        learner.train(batch, 0, 0)
    assert sizes == [17, 18]


def test_filling_up_makes_few_sizes_and_leaves_the_order_of_steps():
    rng, found = np.random.default_rng(0), set()
    for _ in range(500):
        lengths = rng.integers(1, 52, 32)
        sizes = (lengths[:, None] > np.arange(51)).sum(axis=0)
        more = filled_up(sizes)
        assert (np.diff(more) <= 0).all() and (more >= sizes).all() and more[0] == sizes[0]
        assert more.sum() <= 1.125 * sizes.sum()
        found.add(int(more.sum()))
    assert len(found) < 10
    full = np.full(51, 32)
    assert (filled_up(full) == full).all() and not filled_up(np.zeros(3, dtype=int)).any()
