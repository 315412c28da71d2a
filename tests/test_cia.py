"""CIA: credits against autograd, its loss between its bounds, and what it trains."""

import math

import pytest
import torch as th
from fixtures_mmsa import N, S, drifted, make_args, make_batch, make_learner, shaken, trained_by

from components.episode_rows import EpisodeRows
from learners.cia_learner import identity_loss
from modules.identity import IdentityContrast
from modules.mixers import REGISTRY as MIXERS


def test_credits_are_the_slopes_of_the_mixed_value():
    mixer = shaken(MIXERS["qmix"](make_args("cia")))
    qs, states = (3 * th.randn(8, N)).requires_grad_(), th.randn(8, S)
    (slopes,) = th.autograd.grad(mixer(qs, states).sum(), qs)
    th.testing.assert_close(mixer.credits(qs, states), slopes)


def test_the_loss_is_a_softmax_over_identities():
    logits = th.randn(4, N, N)
    slow = [-(logits[b, i, i] - logits[b, i].exp().sum().log()) for b in range(4) for i in range(N)]
    loss, right = identity_loss(logits)
    assert loss.item() == pytest.approx(sum(x.item() for x in slow) / len(slow), rel=1e-5)
    assert right.item() == pytest.approx(sum(logits[b, i].argmax() == i for b in range(4) for i in range(N)) / (4 * N))


@pytest.mark.parametrize(("alike", "falls"), [(False, True), (True, False)])
def test_the_loss_falls_to_0_where_credits_differ_and_stays_at_log_n_where_they_do_not(alike, falls):
    th.manual_seed(1)
    contrast = IdentityContrast(N, 16)
    credits = 1 + 0.1 * th.rand(20, N) + (0 if alike else th.arange(N))
    credits = credits[:, :1].expand(-1, N) if alike else credits
    adam = th.optim.Adam(contrast.parameters(), lr=0.02)
    for _ in range(150):
        loss, right = identity_loss(contrast.logits(contrast(credits, [5] * 4)[-5:]))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert (loss < 0.05 and right == 1) if falls else loss.item() == pytest.approx(math.log(N), abs=0.02)


@pytest.mark.parametrize("packed", [False, True])
def test_an_episode_is_told_by_all_of_its_credits_and_by_nothing_behind_it(packed):
    learner = drifted(make_learner("cia"))
    batch = make_batch()
    rows = EpisodeRows(batch, packed=packed)
    q = learner.agent.q_from_hidden(learner.agent.encode(learner.mac.build_inputs(rows), rows.sizes), rows["obs"])
    taken = q.gather(-1, rows["actions"]).squeeze(-1)
    logits = learner.identity_logits(rows, taken)
    spread, contrast = rows.spread(taken), learner.contrast
    for b in range(batch.batch_size):
        length = int(batch["filled"][b, 1:].sum())
        credits = learner.mixer.credits(spread[b, :length], batch["state"][b, :length].float())
        for i in range(N):
            _, h = contrast.encoder(credits[:, i].view(-1, 1, 1))
            th.testing.assert_close(logits[b, i], contrast.identities @ h[0, 0], rtol=1e-4, atol=1e-5)


def test_which_loss_trains_what():
    learner = drifted(make_learner("cia"))
    losses, figures = learner.losses(EpisodeRows(make_batch()))
    assert trained_by(learner, losses) == {"loss_td": {"agent", "mixer"}, "loss_cia": {"agent", "mixer", "contrast"}}
    assert 0 <= figures["identities_right"] <= 1
