"""Targets of TD learning: λ-returns against the forward view, one episode at a time, in plain Python."""

import pytest
import torch as th
from fixtures_mmsa import drifted, losses_of, make_batch, make_learner, slow_lambda_return, with_garbage
from tiny_runs import csv_rows, play

from learners.targets import continues, greedy_actions, share_changed, td_lambda_targets

GAMMA = 0.9


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("n_values", [1, 3])
def test_td_lambda_is_the_forward_view_of_every_episode(lam, n_values):
    batch = make_batch()
    rewards, terminated = batch["reward"][:, :-1], batch["terminated"][:, :-1].float()
    mask = batch["filled"][:, 1:].float()
    th.manual_seed(1)
    next_values = th.randn(*mask.shape[:2], n_values)
    targets = td_lambda_targets(rewards, terminated, mask, next_values, GAMMA, lam)
    assert targets.shape == next_values.shape
    for b, length in enumerate(mask.sum(dim=(1, 2)).int().tolist()):
        for x in range(n_values):
            slow = [
                slow_lambda_return(
                    rewards[b, :length, 0].tolist(),
                    next_values[b, :length, x].tolist(),
                    bool(terminated[b].any()),
                    t,
                    GAMMA,
                    lam,
                )
                for t in range(length)
            ]
            th.testing.assert_close(targets[b, :length, x], th.tensor(slow))


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_what_lies_behind_an_episodes_end_reaches_no_target(lam):
    batch, dirty = make_batch(), with_garbage(make_batch())
    mask = batch["filled"][:, 1:].float()
    th.manual_seed(1)
    next_values = th.randn_like(mask)
    garbled = th.where(mask == 1, next_values, 1e3)

    def targets(episodes, values):
        ends = episodes["terminated"][:, :-1].float()
        return td_lambda_targets(episodes["reward"][:, :-1], ends, mask, values, GAMMA, lam) * mask

    assert th.equal(targets(batch, next_values), targets(dirty, garbled))


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("name", ["mmsa", "qmix"])
@pytest.mark.parametrize(("end", "matters"), [("truncated", True), ("terminated", False)])
def test_only_an_episode_that_was_cut_off_bootstraps_from_its_last_observation(name, lam, end, matters):
    learner = drifted(make_learner(name, td_lambda=lam))
    batch = make_batch([(3, end)])
    before = losses_of(learner, batch)["loss_td"]
    batch.array("state")[:, 3] += 1.0
    batch.array("obs")[:, 3] += 1.0
    after = losses_of(learner, batch)["loss_td"]
    assert (before != after) == matters


def test_greedy_actions_are_the_best_available_ones():
    q = th.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [-3.0, -2.0, -1.0]])
    avail = th.tensor([[True, True, True], [False, True, True], [True, False, False]])
    assert greedy_actions(q, avail).tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["mmsa", "qmix", "iql"])
def test_an_episode_that_was_cut_off_has_no_value_behind_it_if_asked_for(name):
    found = []
    for truncation in ("bootstrap", "end"):
        learner = drifted(make_learner(name, truncation=truncation))
        losses = []
        for moved in (0.0, 1.0):
            batch = make_batch([(3, "truncated")])
            batch.array("state")[:, 3] += moved
            batch.array("obs")[:, 3] += moved
            losses.append(losses_of(learner, batch)["loss_td"])
        found.append(losses[0] != losses[1])
    assert found == [True, False]


@pytest.mark.parametrize(("truncation", "expected"), [("bootstrap", [1, 1, 0, 1]), ("end", [1, 0, 0, 0])])
def test_what_goes_on_behind_a_transition(truncation, expected):
    terminated = th.tensor([[0, 0, 1, 0]]).bool().unsqueeze(-1)
    mask = th.tensor([[1.0, 1, 0, 1]]).unsqueeze(-1)  # rows 2 and 3 stand for other episodes' ends
    assert continues(terminated, mask, truncation)[0, :, 0].tolist() == expected


def test_share_changed_counts_choices_and_nothing_else():
    q = th.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [0.0, 5.0, 9.0], [0.0, 1.0, 2.0]])
    other = th.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 0.0, 9.0], [2.0, 1.0, 0.0]])
    avail = th.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]]).bool()
    # The first stays, the second changes, the third changes among what is available, the fourth cannot choose.
    assert share_changed(q, other, avail).item() == pytest.approx(2 / 3)
    assert share_changed(q, other, avail & False).item() == 0


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_greedy_changed_is_of_the_time_since_the_targets_moved(alg):
    learner, batch = make_learner(alg, target_update_interval=8), make_batch()
    learner.train(batch, t_env=0, episode_num=0)
    assert "greedy_changed" not in learner.logger.history
    drifted(learner)
    learner.train(batch, t_env=10, episode_num=8)
    assert 0 < learner.logger.latest["greedy_changed"] <= 1
    assert learner.greedy_changed(batch) == 0, "the targets are the agents again"


@pytest.mark.parametrize("config", ["vdn", "mappo"])
def test_what_follows_a_time_limit_never_touches_evaluation(config, tmp_path):
    """One network, before anything is learnt: the same evaluation, returns and all, whatever learners make of it."""
    nothing_learnt = {"t_max": "40", "batch_size": "32", "test_interval": "20"}
    runs = [play(config, "lbf", tmp_path / kind, truncation=kind, **nothing_learnt) for kind in ("bootstrap", "end")]
    rows, others = map(csv_rows, runs)
    assert len(rows) >= 6 and rows == others and any(row["truncated"] == "1" for row in rows)
