"""COMA: its targets by hand, what each loss trains, and what its switches do."""

import pytest
import torch as th
from fixtures_mmsa import N, make_batch, padded, slow_lambda_return, with_garbage
from fixtures_policy import learner_of

from components.episode_rows import EpisodeRows


def coma(**settings):
    return learner_of("discrete", "coma", **settings)


def losses(learner, batch):
    rows = EpisodeRows(batch, packed=True)
    density = learner.policy(rows)
    targets, _ = learner.targets_of(rows, density.probabilities())
    loss_value, q = learner.critic_loss(rows, targets)
    of_actor, _ = learner.actor_losses(rows, density, q.detach())
    return of_actor | {"loss_value": loss_value}, targets, rows


@pytest.mark.parametrize("truncation", ["bootstrap", "end"])
def test_targets_are_lambda_returns_of_the_target_critics_values(truncation):
    learner, batch = coma(truncation=truncation), make_batch()
    with th.no_grad():
        rows = EpisodeRows(batch, packed=True)
        probabilities = rows.spread(learner.policy(rows).probabilities())
        targets = rows.spread_pairs(losses(learner, batch)[1])
        for b in range(batch.batch_size):
            length = int(batch["filled"][b].sum()) - 1
            values = []
            for t in range(length + 1):
                actions = batch["actions"][b, t] if t < length else probabilities[b, t].argmax(dim=-1, keepdim=True)
                q = learner.target_critic(batch["state"][b, t][None], batch["obs"][b, t][None], actions[None])[0]
                taken = q.gather(-1, actions)[:, 0]
                values.append(taken if t < length else (probabilities[b, t] * q).sum(dim=-1))
            ended = bool(batch["terminated"][b].any()) or truncation == "end"
            rewards = batch["reward"][b, :length, 0].tolist()
            for i in range(N):
                own = [value[i].item() for value in values[1:]]
                for t in range(length):
                    slow = slow_lambda_return(rewards, own, ended, t, learner.args.gamma, learner.args.td_lambda)
                    assert targets[b, t, i].item() == pytest.approx(slow, rel=1e-3, abs=1e-4)


def test_each_loss_trains_its_own_network_and_no_target():
    learner, batch = coma(), make_batch()
    learner.target_critic.requires_grad_(True)
    found, _, _ = losses(learner, batch)
    groups = {"actor": learner.actor, "critic": learner.critic, "target": learner.target_critic}
    for name, loss in found.items():
        for group, module in groups.items():
            grads = th.autograd.grad(loss, list(module.parameters()), allow_unused=True, retain_graph=True)
            trained = group == ("critic" if name == "loss_value" else "actor")
            assert all((grad is not None and bool(grad.any())) == trained for grad in grads), (name, group)


def test_the_actors_gradient_is_that_of_the_counterfactual_advantages():
    learner, batch = coma(entropy_coef="0"), make_batch()
    found, _, rows = losses(learner, batch)
    h = learner.actor.encode(learner.mac.build_inputs(rows), rows.sizes)
    density = learner.actor.density(h, rows["avail_actions"])
    actions, p = rows.now(rows["actions"]), rows.now(density.probabilities())
    q = learner.critic(rows.now(rows["state"]), rows.now(rows["obs"]), actions).detach()
    advantages = q.gather(-1, actions)[..., 0] - (p * q).sum(dim=-1)
    alive = (rows.now(rows["avail_actions"]).sum(dim=-1) > 1).float()
    plain = -(alive * advantages * rows.now(density.log_prob(rows["actions"]))).sum() / alive.sum()
    parameters = list(learner.actor.parameters())
    grads = [th.autograd.grad(loss, parameters) for loss in (found["loss_policy"], plain)]
    th.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("share", [True, False])
def test_an_update_moves_both_networks_and_the_target_every_so_many_episodes(share):
    learner = coma(share_parameters=share, critic_steps="3", target_update_interval="16")
    before = {name: value.clone() for name, value in learner.state_tensors().items()}
    learner.update(make_batch())
    after = learner.state_tensors()
    assert all(th.equal(before[name], after[name]) == name.startswith("target") for name in before)
    steps = {name: {int(s["step"]) for s in o.state.values()} for name, o in learner.optimisers.items()}
    assert steps == {"actor": {1}, "critic": {3}}


def test_padding_and_what_lies_in_it_change_nothing():
    figures = [coma().update(batch) for batch in (make_batch(), with_garbage(make_batch()), padded(make_batch(), 3))]
    for other in figures[1:]:
        th.testing.assert_close(figures[0], other, rtol=1e-4, atol=1e-5)
