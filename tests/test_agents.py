"""Agents and their controllers: the fast forms of Q against the plain one, acting against learning."""

import pytest
import torch as th
from fixtures_mmsa import (
    GROUPS,
    OBS,
    SCHEME,
    A,
    N,
    losses_of,
    make_args,
    make_batch,
    make_learner,
    onehots,
    per_episode,
    shaken,
)

from controllers import REGISTRY as CONTROLLERS
from learners.targets import greedy_actions
from modules.agents import REGISTRY as AGENTS
from modules.agents import every_action, sale_rnn_agent

KINDS = {
    "rnn": ("qmix", {}),
    "rnn without id and last action": ("qmix", {"obs_agent_id": False, "obs_last_action": False}),
    "sale_rnn": ("mmsa", {}),
    "sale_rnn, detached": ("mmsa", {"sale_detach": True}),
    "sale_rnn on observations": ("mmsa", {"sale_input": "obs"}),
    "sale_rnn on observations, detached": ("mmsa", {"sale_input": "obs", "sale_detach": True}),
    "sale_rnn, φ on observations": ("mmsa", {"phi_input": "obs"}),
    "sale_rnn, all on observations": ("mmsa_paper", {"sale_input": "obs", "phi_input": "obs"}),
    "sale_rnn, fixed": ("mmsa", {"sale_fixed": True}),
    "sale_rnn beside a linear layer": ("mmsa", {"sale_skip": True}),
    "sale_rnn, layer norm": ("mmsa", {"sale_normaliser": "layer"}),
}
# What is scored together counts: all actions, and all rows.
BATCH_NORM = {"sale_rnn, batch norm": ("mmsa", {"sale_normaliser": "batch"})}
SALE_KINDS = [kind for kind in KINDS if kind.startswith("sale")]


def make_mac(kind):
    name, settings = (KINDS | BATCH_NORM)[kind]
    args = make_args(name, **settings)
    th.manual_seed(0)
    mac = CONTROLLERS[args.mac](SCHEME, GROUPS, args)
    shaken(mac.agent)
    return mac


def filled(batch):
    return batch["filled"][..., 0]


def plain_q(agent, h, obs, a):
    """Q_i(h, a) by the book: concatenate, embed, concatenate, score."""
    onehot = th.eye(A, dtype=h.dtype)[a].expand(*h.shape[:-1], A)
    sale = agent.fixed_sale or agent.sale
    z = sale.f(obs if agent.sale_reads_obs else h)
    g = sale.g
    hidden = th.nn.functional.elu(g.first.linear(th.cat([z, onehot], dim=-1)))
    z_a = g.third(th.nn.functional.elu(g.second(hidden)))
    if agent.sale_detach:
        z, z_a = z.detach(), z_a.detach()
    phi = agent.normalise_phi(agent.phi.linear(th.cat([obs if agent.phi_reads_obs else h, onehot], dim=-1)))
    q = agent.head.last(agent.head.first(th.cat([z, z_a, phi], dim=-1)).relu())[..., 0]
    return q if agent.skip is None else q + agent.skip(h)[..., a]


@pytest.mark.parametrize("kind", SALE_KINDS)
def test_all_actions_at_once_and_the_plain_form_agree_in_value_and_gradient(kind):
    agent = make_mac(kind).agent.double()
    h = th.randn(4, 3, N, agent.encoder.hidden_size, dtype=th.float64, requires_grad=True)
    obs = th.randn(4, 3, N, OBS, dtype=th.float64)
    plain = th.stack([plain_q(agent, h, obs, a) for a in range(A)], dim=-1)
    fast = agent.q_from_hidden(h, obs)
    th.testing.assert_close(fast, plain)
    weights = th.randn_like(plain)
    inputs = [h, *(p for p in agent.parameters() if p.requires_grad)]
    grads = [
        th.autograd.grad((form * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
        for form in (fast, plain)
    ]
    th.testing.assert_close(*grads)


@pytest.mark.parametrize("kind", ["rnn", *SALE_KINDS, *BATCH_NORM])
def test_the_values_of_given_actions_are_among_those_of_all_and_alone_have_gradients(kind):
    agent = make_mac(kind).agent.double()
    h = th.randn(4, 3, N, agent.encoder.hidden_size, dtype=th.float64, requires_grad=True)
    obs, actions = th.randn(4, 3, N, OBS, dtype=th.float64), th.randint(A, (4, 3, N, 1))
    every = agent.q_from_hidden(h, obs)
    given, without = agent.score(h, actions, obs)
    assert given.shape == actions.shape[:-1] and not without.requires_grad
    th.testing.assert_close(without, every.detach())
    th.testing.assert_close(given, every.gather(-1, actions).squeeze(-1))
    weights = th.randn_like(given)
    inputs = [h, *(p for p in agent.parameters() if p.requires_grad)]
    grads = [
        th.autograd.grad((form * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
        for form in (given, every.gather(-1, actions).squeeze(-1))
    ]
    th.testing.assert_close(*grads)


def test_the_sale_normaliser_also_normalises_phi():
    assert make_mac("sale_rnn").agent.normalise_phi.name == "avgl1"
    assert make_mac("sale_rnn, layer norm").agent.normalise_phi.name == "layer"


@pytest.mark.parametrize("kind", ["rnn", "sale_rnn"])
def test_histories_are_unrolled_agent_by_agent_and_can_be_continued(kind):
    encoder = make_mac(kind).agent.encoder
    cell = th.nn.GRUCell(encoder.hidden_size, encoder.hidden_size)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in encoder.rnn.state_dict().items()})
    sizes, steps = [3, 3, 2, 1], [slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 9)]
    x = th.randn(9, N, encoder.fc1.in_features)
    unrolled = encoder(x, sizes)
    for b in range(3):
        for i in range(N):
            h = th.zeros(1, encoder.hidden_size)
            for rows in steps[: 4 - b]:
                h = cell(encoder.fc1(x[rows][b, i]).relu()[None], h)
                th.testing.assert_close(unrolled[rows][b, i], h[0])
    th.testing.assert_close(encoder(x[6:], sizes[2:], unrolled[3:5]), unrolled[6:])


@pytest.mark.parametrize("agent_id", [True, False])
@pytest.mark.parametrize("last_action", [True, False])
def test_agents_read_observation_last_action_and_number(agent_id, last_action):
    args = make_args("mmsa", obs_agent_id=agent_id, obs_last_action=last_action)
    batch = make_batch()
    inputs = per_episode(batch, CONTROLLERS["sale_mac"](SCHEME, GROUPS, args).build_inputs)
    for b, t in filled(batch).nonzero().tolist():
        for i in range(N):
            parts = [batch["obs"][b, t, i]]
            if last_action:
                parts.append(onehots(batch["actions"][b, t - 1, i], A) if t else th.zeros(A))
            if agent_id:
                parts.append(th.eye(N)[i])
            assert th.equal(inputs[b, t, i], th.cat(parts))


def act_along(mac, batch, interrupt=lambda: None):
    """Act greedily at every row, with the hidden state passed on; return Q, hidden states and actions by row."""
    hidden, rows = mac.init_hidden(batch.batch_size), []
    for t in range(batch.max_seq_length):
        with th.no_grad():
            q, stepped = mac.step(batch, t, hidden, slice(None))
        actions, hidden = mac.select_actions(batch, t, hidden, 0.0, None)
        assert th.equal(stepped, hidden)
        rows.append((th.as_tensor(q), hidden, th.as_tensor(actions)))
        interrupt()
    return [th.stack(column, dim=1) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learnt_on_is_what_acts(kind):
    mac, batch = make_mac(kind), make_batch()
    with th.no_grad():
        h = per_episode(batch, lambda rows: mac.agent.encode(mac.build_inputs(rows), rows.sizes))
        q = mac.agent.q_from_hidden(h, batch["obs"])
    acted_q, acted_h, actions = act_along(mac, batch)
    rows = filled(batch)
    th.testing.assert_close(acted_h[rows], h[rows])
    th.testing.assert_close(acted_q[rows], q[rows])
    assert th.equal(actions[rows], greedy_actions(q, batch["avail_actions"])[rows])


def test_some_episodes_act_on_while_others_have_ended():
    mac, batch = make_mac("sale_rnn"), make_batch()
    hidden = th.randn(batch.batch_size, N, mac.hidden_size)
    everyone, _ = mac.select_actions(batch, 1, hidden, 0.0, None)
    some, next_hidden = mac.select_actions(batch, 1, hidden[[0, 3]], 0.0, None, bs=[0, 3])
    assert (some == everyone[[0, 3]]).all()
    assert next_hidden.shape == (2, N, mac.hidden_size)


@pytest.mark.parametrize("name", ["qmix", "mmsa", "mmsa_paper"])
def test_acting_and_learning_do_not_disturb_each_other(name):
    sample = {} if name == "qmix" else {"wm_sample": False, "rollout_sample": False}
    learner, batch = make_learner(name, **sample), make_batch()
    losses, acted = losses_of(learner, batch), act_along(learner.mac, batch)
    interrupted = act_along(learner.mac, batch, interrupt=lambda: losses_of(learner, make_batch(seed=1)))
    assert all(th.equal(x, y) for x, y in zip(acted, interrupted, strict=True))
    assert losses_of(learner, batch) == losses


@pytest.mark.parametrize("kind", [kind for kind in SALE_KINDS if "on observations" in kind])
def test_a_head_that_reads_observations_insists_on_them_and_imagines_with_another(kind):
    agent = make_mac(kind).agent
    h = th.randn(4, N, agent.encoder.hidden_size)
    with pytest.raises(ValueError, match="sale_input=obs"):
        agent.q_from_hidden(h)
    assert th.equal(agent.q_imagined(h), agent.imagined_head(h))


def test_a_head_that_reads_histories_imagines_with_itself():
    agent = make_mac("sale_rnn").agent
    h = th.randn(4, N, agent.encoder.hidden_size)
    assert th.equal(agent.q_imagined(h), agent.q_from_hidden(h))


@pytest.mark.parametrize("kind", ["sale_rnn", "sale_rnn on observations"])
def test_imagined_actions_are_the_best_available_ones(kind):
    mac = make_mac(kind)
    h, avail = th.randn(50, 4, N, mac.hidden_size), th.rand(50, 4, N, A) < 0.3
    avail[..., 2] |= ~avail.any(dim=-1)
    actions = mac.imagined_actions(mac.agent, h, avail)
    assert actions.shape == (50, 4, N)
    assert avail.gather(-1, actions[..., None]).all()
    assert not th.equal(actions, mac.imagined_actions(mac.agent, h, th.ones_like(avail)))
    q = mac.agent.q_imagined(h)
    best = th.where(avail, q, -1e9).amax(dim=-1)
    assert th.equal(q.gather(-1, actions[..., None])[..., 0], best)


def test_values_start_near_zero():
    args = make_args("mmsa")
    agent = CONTROLLERS["sale_mac"](SCHEME, GROUPS, args).agent
    assert agent.head.last.bias.item() == 0
    assert 0 < agent.head.last.weight.abs().max() <= 0.1 / args.sale_embed_dim**0.5


@pytest.mark.parametrize("kind", ["qmix", "mmsa"])
@pytest.mark.parametrize("share", [True, False])
def test_without_memory_a_row_says_what_it_says_wherever_it_stands(kind, share):
    args = make_args(kind, use_rnn=False, share_parameters=share)
    agent = shaken(AGENTS[args.agent](7, args))
    x = th.randn(5, N, 7)
    together = agent.encode(x, [3, 2], th.randn(3, N, args.rnn_hidden_dim))
    alone = th.cat([agent.encode(row[None], [1]) for row in x])
    th.testing.assert_close(together, alone)
    first, layer = agent.encoder.fc1, agent.encoder.layer[0]
    th.testing.assert_close(together, layer(first(x).relu()).tanh(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["qmix", "mmsa"])
@pytest.mark.parametrize("share", [True, False])
def test_what_the_first_layer_gives_is_normalised_over_its_numbers_before_the_relu(kind, share):
    args = make_args(kind, layer_norm=True, use_rnn=False, share_parameters=share)
    agent = shaken(AGENTS[args.agent](7, args))
    norm, x = agent.encoder.norm, th.randn(5, N, 7)
    first = agent.encoder.fc1(x)
    about = first - first.mean(dim=-1, keepdim=True)
    normalised = about / (about.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt()
    h = agent.encoder.layer((normalised * norm.weight + norm.bias).relu())
    th.testing.assert_close(agent.encode(x, [5]), h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"sale_input": "obs", "phi_input": "obs"}, {"sale_skip": False}])
def test_values_scored_in_blocks_of_rows_are_those_of_whole_layers(monkeypatch, settings):
    agent = shaken(make_learner("mmsa", **settings).agent)
    h, obs = th.rand(7, 2, N, 8) * 2 - 1, th.randn(7, 2, N, OBS)
    whole = agent.q_from_hidden(h, obs)
    for room in (every_action, sale_rnn_agent):
        monkeypatch.setattr(room, "BLOCK", 10 * A * 9)  # four blocks, the last of them smaller
    scored = []
    inner = every_action.score
    monkeypatch.setattr(sale_rnn_agent, "score", lambda *given: scored.append(given) or inner(*given))
    with th.no_grad():
        th.testing.assert_close(agent.q_from_hidden(h, obs), whole.detach())
    assert every_action.rows_of_a_block(scored[0][0]) == 11 and len(scored) == 1
    agent.q_from_hidden(h, obs)
    assert len(scored) == 1  # which has no gradient
