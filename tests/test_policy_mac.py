"""The controller of policies: draws of its own, the likeliest action in evaluation, what acts is what is learnt on."""

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import GROUPS, SCHEME, A, N, make_batch
from fixtures_policy import BOX, CHOICES, SPACES, batch_of, mac_of

from components.episode_batch import EpisodeBatch
from components.episode_rows import EpisodeRows
from controllers.agent_inputs import shown
from envs.action_spaces import Discrete


def generators(n):
    return [np.random.default_rng(seed) for seed in range(n)]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("last_action", [True, False])
@pytest.mark.parametrize("kind", SPACES)
def test_what_acts_is_what_is_learnt_on(kind, last_action, share):
    mac, batch = mac_of(kind, obs_last_action=last_action, share_parameters=share), batch_of(kind)
    rows = EpisodeRows(batch, packed=False)
    with th.no_grad():
        h = mac.agent.encode(mac.build_inputs(rows), rows.sizes)
        learnt = mac.agent.density(h, rows["avail_actions"])
        probabilities, modes = rows.spread(learnt.probabilities()), rows.spread(learnt.mode())
    hidden = mac.init_hidden(batch.batch_size)
    for t in range(batch.max_seq_length):
        shown_now, _ = mac.step(batch, t, hidden, slice(None))
        actions, hidden = mac.select_actions(batch, t, hidden, 0.0, None)
        there = batch["filled"][:, t, 0].numpy()
        np.testing.assert_allclose(shown_now[there], probabilities[:, t].numpy()[there], rtol=1e-4, atol=1e-5)
        expected = modes[:, t].numpy()
        expected = expected[..., 0] if kind == "discrete" else expected
        np.testing.assert_allclose(actions[there], expected[there], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SPACES)
def test_an_episodes_actions_come_from_its_own_generator_alone(kind):
    mac, batch = mac_of(kind), batch_of(kind)
    draws = mac.draws(generators(3), 4, mac.epsilon(0, test_mode=False))
    alone = mac.draws(generators(3)[1:2], 4, 1.0)
    assert draws.shape == (3, 4, N, mac.action_space.size) and np.array_equal(draws[1:2], alone)
    assert mac.draws(generators(3), 4, mac.epsilon(0, test_mode=True)) is None
    hidden = th.randn(3, N, mac.hidden_size)
    everyone, _ = mac.select_actions(batch, 1, hidden, 1.0, draws[:, 1])
    some, _ = mac.select_actions(batch, 1, hidden[1:2], 1.0, alone[:, 1], bs=[1])
    np.testing.assert_allclose(some, everyone[1:2], rtol=1e-5, atol=1e-6)
    assert everyone.dtype == (np.float32 if kind == "continuous" else np.int64)


def test_actions_are_available_and_drawn_as_often_as_they_are_likely():
    mac, n = mac_of("discrete"), 4000
    one = make_batch([(1, "terminated")])
    batch = EpisodeBatch(SCHEME, GROUPS, n, 2, one.storage.expand(n, -1, -1).clone())
    draws = mac.draws([np.random.default_rng([1, k]) for k in range(n)], 1, 1.0)
    probabilities, _ = mac.step(batch, 0, mac.init_hidden(n), slice(None))
    actions, _ = mac.select_actions(batch, 0, mac.init_hidden(n), 1.0, draws[:, 0])
    shares = np.stack([np.bincount(actions[:, i], minlength=A) / n for i in range(N)])
    assert np.abs(shares - probabilities[0]).max() < 0.03
    assert not shares[~one.array("avail_actions")[0, 0]].any()


def test_networks_read_choices_as_one_hots_and_numbers_as_they_are():
    numbers = th.randn(2, N, 2)
    assert th.equal(shown(numbers, 2, BOX), numbers)
    assert shown(th.tensor([[2, 1]]), 5, CHOICES).tolist() == [[0, 0, 1, 0, 1]]
    assert shown(th.tensor([[3]]), 5, Discrete()).tolist() == [[0, 0, 0, 1, 0]]


def test_evaluation_takes_the_likeliest_actions_or_draws_as_asked():
    assert [mac_of("discrete").epsilon(10**6, test_mode=mode) for mode in (True, False)] == [0, 1]
    assert mac_of("discrete", evaluation_draws="True").epsilon(0, test_mode=True) == 1
