"""Transitions as sequences: every one in exactly one minibatch, in its order, beginning where its chunk begins."""

import pytest
import torch as th
from fixtures_mmsa import EPISODES, make_batch, with_garbage

from components.episode_rows import EpisodeRows
from components.sequences import Sequences
from modules.gru import unroll

LENGTHS = [length for length, _ in EPISODES]


def places(rows):
    """(K, 2): the episode and the step of each transition."""
    B, steps = rows.shape
    every = th.stack(th.meshgrid(th.arange(B), th.arange(steps), indexing="ij"), dim=-1)
    return rows.now(rows.take(every))


@pytest.mark.parametrize("n", [1, 2, 3, 100])
@pytest.mark.parametrize("chunk", [None, 1, 2, 4, 100])
def test_every_transition_is_in_one_minibatch_and_follows_its_predecessor(chunk, n):
    th.manual_seed(0)
    rows = EpisodeRows(make_batch(), packed=True)
    where, sequences = places(rows), Sequences(rows.sizes[1:], chunk)
    seen = []
    for some in sequences.minibatches(n):
        found = some.take(where)
        assert sum(some.sizes) == len(found) and some.sizes == sorted(some.sizes, reverse=True)
        steps, starts = found.split(some.sizes), some.starts(where.float())
        for rank, (b, t) in enumerate(steps[0].tolist()):
            assert t % (chunk or 1000) == 0
            before = [b, t - 1] if t > 0 else [0, 0]
            assert starts is None or starts[rank].tolist() == before
            assert starts is not None or t == 0
            length = sum(size > rank for size in some.sizes)
            assert [step[rank].tolist() for step in steps[:length]] == [[b, t + k] for k in range(length)]
            assert length == min(chunk or 1000, LENGTHS[b] - t)
        seen += found.tolist()
    assert sorted(seen) == sorted(where.tolist()) and len(seen) == sum(LENGTHS)


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("n", [1, 3])
def test_chunks_unrolled_from_their_starts_give_the_histories_of_whole_episodes(chunk, n):
    th.manual_seed(0)
    rows, gru = EpisodeRows(make_batch(), packed=True), th.nn.GRU(3, 4)
    x = th.randn(sum(LENGTHS), 3)
    with th.no_grad():
        h = unroll(gru, x, rows.sizes[1:])
        for some in Sequences(rows.sizes[1:], chunk).minibatches(n):
            th.testing.assert_close(unroll(gru, some.take(x), some.sizes, some.starts(h)), some.take(h))


def test_minibatches_are_drawn_anew_and_one_draws_nothing():
    rows = EpisodeRows(make_batch(), packed=True)
    sequences, x = Sequences(rows.sizes[1:], 1), th.arange(sum(LENGTHS))
    th.manual_seed(0)
    drawn = [next(iter(sequences.minibatches(4))).take(x).tolist() for _ in range(2)]
    assert drawn[0] != drawn[1]
    before = th.get_rng_state()
    next(iter(sequences.minibatches(1)))
    assert th.equal(before, th.get_rng_state())


@pytest.mark.parametrize("packed", [True, False])
def test_rows_are_spread_to_where_they_were_taken(packed):
    batch = with_garbage(make_batch())
    rows = EpisodeRows(batch, packed=packed)
    spread = rows.spread(rows["obs"])
    filled = batch["filled"][..., 0]
    assert th.equal(spread[filled], batch["obs"][filled])
    assert not packed or not spread[~filled].any()
