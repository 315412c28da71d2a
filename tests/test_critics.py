"""Critics against their plain forms: inputs concatenated for every agent; running statistics against all returns."""

import pytest
import torch as th
from fixtures_mmsa import OBS, A, N, S, make_args, shaken
from torch.nn import functional

from modules.critics.coma_critic import COMACritic
from modules.critics.inputs import Counterfactual, StateAndNumber
from modules.critics.value_critic import ValueCritic
from modules.critics.value_norm import ValueNorm

H = 6


def same_in_value_and_gradient(found, plain, layer):
    th.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    grad, parameters = th.randn_like(plain), list(layer.parameters())
    grads = [th.autograd.grad(form, parameters, grad) for form in (found, plain)]
    th.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_the_state_and_the_agents_number_are_read_as_if_concatenated(each, own):
    th.manual_seed(0)
    layer = StateAndNumber(S, N, H, own)
    state = th.randn(5, N, S) if each else th.randn(5, S)
    repeated = state if each else state.unsqueeze(1).expand(5, N, S)
    if own:
        plain = th.stack([functional.linear(repeated[:, i], layer.linear.weight[i], layer.linear.bias[i])
                          for i in range(N)], dim=1)  # fmt: skip
    else:
        plain = layer.linear(th.cat([repeated, th.eye(N).expand(5, N, N)], dim=-1))
    same_in_value_and_gradient(layer(state), plain, layer)


def test_the_counterfactual_layer_sees_everyones_action_but_the_own():
    th.manual_seed(0)
    layer = Counterfactual(S, OBS, N, A, H)
    state, obs, actions = th.randn(5, S), th.randn(5, N, OBS), th.randint(A, (5, N, 1))
    rows = th.zeros(5, N, S + OBS + N * A + N)
    for t in range(5):
        for i in range(N):
            others = [th.eye(A)[actions[t, j, 0]] if j != i else th.zeros(A) for j in range(N)]
            rows[t, i] = th.cat([state[t], obs[t, i], *others, th.eye(N)[i]])
    assert th.equal(layer.inputs(state, obs, actions), rows)
    same_in_value_and_gradient(layer(state, obs, actions), layer.linear(rows), layer)


@pytest.mark.parametrize("own", [False, True])
def test_comas_critic_does_not_move_with_an_agents_own_action(own):
    args = make_args("coma", share_parameters=not own)
    critic = shaken(COMACritic(args))
    state, obs, actions = th.randn(4, S), th.randn(4, N, OBS), th.randint(A, (4, N, 1))
    q = critic(state, obs, actions)
    assert q.shape == (4, N, A)
    actions[:, 1] = (actions[:, 1] + 1) % A
    moved = (critic(state, obs, actions) - q).abs().amax(dim=(0, 2)) > 1e-5
    assert moved.tolist() == [True, False, True]


@pytest.mark.parametrize("critic", ["mlp", "rnn"])
@pytest.mark.parametrize("reads", ["state", "own"])
@pytest.mark.parametrize("share", [True, False])
def test_every_critic_gives_a_value_for_every_agent_and_all_of_it_is_trained(critic, reads, share):
    args = make_args("mappo", critic=critic, critic_reads=reads, share_parameters=share)
    net = ValueCritic(9, args)
    inputs = th.randn(7, S) if reads == "state" else th.randn(7, N, 9)
    values = net.value(net.encode(inputs, [3, 3, 1]))
    assert values.shape == (7, N)
    values.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    if reads == "state" and share:
        assert values.std(dim=1).min() > 0  # the number matters


def test_value_statistics_are_those_of_all_returns_that_counted():
    th.manual_seed(0)
    norm = ValueNorm(0.9999999)
    assert th.equal(norm.normalised(th.tensor([3.0])), th.tensor([3.0]))
    batches = [5 + 3 * th.randn(50, 2) for _ in range(4)]
    kept = []
    for returns in batches:
        counted = th.rand(50, 2) < 0.5
        norm.update(th.where(counted, returns, 99.0), counted.float() / counted.sum())
        kept.append((returns[counted].mean(), returns[counted].square().mean()))
    mean = sum(first for first, _ in kept) / 4
    std = (sum(second for _, second in kept) / 4 - mean.square()).sqrt()
    th.testing.assert_close(norm.statistics(), (mean, std), rtol=1e-4, atol=1e-4)
    th.testing.assert_close(norm.on_reward_scale(norm.normalised(batches[0])), batches[0])


def test_returns_that_are_all_alike_are_not_blown_up():
    norm = ValueNorm(0.99)
    norm.update(th.full((4, 2), 0.001), th.full((4, 2), 1 / 8))
    assert norm.statistics()[1].item() == pytest.approx(0.1)


def test_recent_returns_count_more_with_a_smaller_beta():
    norm = ValueNorm(0.5)
    for value in (0.0, 3.0):
        norm.update(th.full((2, 1), value), th.full((2, 1), 0.5))
    assert norm.statistics()[0].item() == pytest.approx(2.0)


def test_the_orthogonal_start_draws_orthogonal_matrices_and_no_biases():
    net = ValueCritic(9, make_args("mappo", critic="rnn", critic_reads="own", orthogonal_start=True))
    first = net.encoder.fc1.weight
    th.testing.assert_close(first @ first.t() if len(first) < 9 else first.t() @ first, 2 * th.eye(min(first.shape)))
    assert not any(p.any() for name, p in net.named_parameters() if "bias" in name)
    recurrent = net.encoder.rnn.weight_hh_l0
    th.testing.assert_close(recurrent.t() @ recurrent, th.eye(len(recurrent) // 3), rtol=1e-4, atol=1e-5)
    assert net.last.weight.norm().item() == pytest.approx(0.01, rel=1e-5)
