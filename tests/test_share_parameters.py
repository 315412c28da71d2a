"""`share_parameters=False`: networks of agents with parameters of their own are as many networks of one agent each."""

import pytest
import torch as th
from fixtures_mmsa import GROUPS, OBS, SCHEME, A, N, drifted, losses_of, make_args, make_batch, make_learner, shaken

from components.episode_rows import EpisodeRows
from controllers import REGISTRY as CONTROLLERS
from modules.activations import FEW, elu
from modules.agents import REGISTRY as AGENTS
from modules.linear import Linear, linear

AGENT_KINDS = {
    "rnn": ("qmix", {}),
    "sale_rnn": ("mmsa", {}),
    "sale_rnn, paper": ("mmsa", {"sale_detach": True, "sale_skip": False, "agent_sale_predictor": True}),
    "sale_rnn on observations": ("mmsa", {"sale_input": "obs"}),
    "sale_rnn, layer norm": ("mmsa", {"sale_normaliser": "layer"}),
}


def alone(kind_of_module, own, i, *args):
    """Return a module with shared parameters that are agent i's."""
    module = kind_of_module(*args)
    module.load_state_dict({name: value[i] for name, value in own.state_dict().items()})
    return module


def test_a_layer_for_each_agent_is_as_many_layers_in_value_and_gradient():
    th.manual_seed(0)
    layer = Linear(4, 6, n_agents=N).double()
    assert layer.weight.shape == (N, 6, 4) and layer.weight[0].ne(layer.weight[1]).all()
    assert layer.weight.abs().max() <= 0.5  # as nn.Linear starts
    x = th.randn(5, 2, N, 4, dtype=th.float64, requires_grad=True)
    plain = th.einsum("btni,noi->btno", x, layer.weight) + layer.bias
    found = layer(x)
    th.testing.assert_close(found, plain)
    inputs = [x, layer.weight, layer.bias]
    grad = th.randn_like(plain)
    th.testing.assert_close(*(th.autograd.grad(form, inputs, grad) for form in (found, plain)))
    th.testing.assert_close(linear(x, layer.weight), plain - layer.bias)


def test_what_activations_overwrite_may_lie_agent_after_agent():
    layer = Linear(4, 64, n_agents=N)
    x = th.randn(FEW // 64, N, 4)
    plain = th.nn.functional.elu(layer(x))
    found = elu(layer(x), inplace=True)
    th.testing.assert_close(found, plain, rtol=0, atol=1e-6)
    grads = [th.autograd.grad(form.square().sum(), layer.weight)[0] for form in (found, plain)]
    th.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", AGENT_KINDS)
def test_agents_of_their_own_are_as_many_agents_in_value_and_gradient(kind):
    name, settings = AGENT_KINDS[kind]
    own_args, shared_args = (make_args(name, share_parameters=share, **settings) for share in (False, True))
    th.manual_seed(0)
    agent = shaken(AGENTS[own_args.agent](7, own_args)).double()
    others = [alone(AGENTS[own_args.agent], agent, i, 7, shared_args).double() for i in range(N)]
    sizes, inputs = [3, 3, 2], th.randn(8, N, 7, dtype=th.float64)
    hidden = th.randn(3, N, agent.encoder.hidden_size, dtype=th.float64)
    obs, actions = th.randn(8, N, OBS, dtype=th.float64), th.randint(A, (8, N, 1))

    def all_of(net, i):
        cut = (slice(None), i)
        h = net.encode(inputs[cut], sizes, hidden[cut])
        taken, every = net.score(h, actions[cut], obs[cut])
        return h, net.q_from_hidden(h, obs[cut]), taken, every, net.q_imagined(h)

    whole = all_of(agent, slice(None))
    parts = [all_of(other, slice(i, i + 1)) for i, other in enumerate(others)]
    for found, *pieces in zip(whole, *parts, strict=True):
        th.testing.assert_close(found, th.cat(pieces, dim=1))
    (whole[2].square().sum() + whole[4].sum()).backward()
    sum(part[2].square().sum() + part[4].sum() for part in parts).backward()
    for name, parameter in agent.named_parameters():
        grads = [dict(other.named_parameters())[name].grad for other in others]
        if grads[0] is None:
            assert parameter.grad is None
        else:
            th.testing.assert_close(parameter.grad, th.stack(grads))


@pytest.mark.parametrize("kind", AGENT_KINDS)
def test_what_is_learnt_on_is_what_acts(kind):
    name, settings = AGENT_KINDS[kind]
    args = make_args(name, share_parameters=False, **settings)
    mac, batch = CONTROLLERS[args.mac](SCHEME, GROUPS, args), make_batch([(4, "terminated")] * 2)
    rows = EpisodeRows(batch, packed=False)
    with th.no_grad():
        q = mac.agent.q_from_hidden(mac.agent.encode(mac.build_inputs(rows), rows.sizes), rows["obs"])
    hidden = mac.init_hidden(2)
    for t in range(5):
        with th.no_grad():
            acted, hidden = mac.step(batch, t, hidden, slice(None))
        th.testing.assert_close(th.as_tensor(acted), q[2 * t : 2 * t + 2])


@pytest.mark.parametrize("config", ["qmix", "mmsa", "mmsa_paper"])
def test_a_learner_trains_every_agents_parameters(config):
    learner = drifted(make_learner(config, share_parameters=False))
    assert all(loss == loss for loss in losses_of(learner, make_batch()).values())
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    sum(losses.values()).backward()
    for name, parameter in learner.agent.named_parameters():
        assert parameter.grad is None or all(bool(own.any()) for own in parameter.grad), name
