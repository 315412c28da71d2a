"""QPLEX, weighted QMIX and QTRAN: each by what only it can do, by slow forms, and by what each loss trains."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import CONFIG_DIR, N, S, drifted, make_args, make_batch, make_learner, shaken

from components.episode_batch import EpisodeBatch, episode_scheme
from components.episode_rows import EpisodeRows
from controllers import REGISTRY as CONTROLLERS
from envs.action_spaces import Discrete
from envs.matrix_payoffs import GAMES
from learners import REGISTRY as LEARNERS
from learners.weighted_qmix_learner import central_weights, optimistic_weights
from modules.mixers.central import CentralMixer
from modules.mixers.joint import JointValues
from modules.mixers.qplex import QPLEXMixer
from settings import extended, resolve, to_args
from utils.logging import Logger

PAYOFFS = np.array(GAMES["nonmonotonic"].payoffs[0], dtype=np.float32)
METHODS = ["qplex", "ow_qmix", "cw_qmix", "qtran"]
PAIR, A = 2, 3
SMALL_CENTRE = {"central_mixing_dim": 32}


def learner_of_the_game(config, **settings):
    """Return a learner for two agents with three actions and nothing to see."""
    text = {key: str(value) for key, value in ({"lr": 0.003, "td_lambda": 0, "rnn_hidden_dim": 16} | settings).items()}
    args = to_args(resolve(config, "matrix_game", text, CONFIG_DIR))
    args = extended(args, n_agents=PAIR, n_actions=A, obs_shape=1, state_shape=1, action_space=Discrete(), n_rewards=1)
    scheme = game_scheme()
    th.manual_seed(1)
    mac = CONTROLLERS[args.mac](scheme, {"agents": PAIR}, args)
    return LEARNERS[args.learner](mac, scheme, Logger(), args)


def game_scheme():
    return episode_scheme(obs_size=1, state_size=1, n_actions=A, obs_dtype=th.float32, state_dtype=th.float32)


def every_joint_action():
    """Return nine episodes of one step: each joint action once, and what it pays."""
    batch = EpisodeBatch(game_scheme(), {"agents": PAIR}, A * A, 2)
    ones = {"obs": np.ones((2, PAIR, 1)), "state": np.ones((2, 1)), "avail_actions": np.ones((2, PAIR, A), bool)}
    for b, (mine, other) in enumerate(itertools.product(range(A), repeat=2)):
        batch.update({**ones, "filled": np.ones((2, 1), bool)}, bs=b, ts=slice(0, 2))
        paid = {"actions": np.array([[[mine], [other]]]), "reward": np.array([[PAYOFFS[mine, other]]])}
        batch.update(paid, bs=b, ts=slice(0, 1))
        batch.array("terminated")[b, 0] = True
    return batch


def greedy_payoff(learner, batch):
    rows = EpisodeRows(batch)
    h = learner.agent.encode(learner.mac.build_inputs(rows), rows.sizes)
    mine, other = learner.agent.q_from_hidden(h, rows["obs"])[0].argmax(dim=-1).tolist()
    return PAYOFFS[mine, other]


@pytest.mark.parametrize(("config", "settings", "pays"), [
    ("qmix", {}, 0), ("vdn", {}, 0), ("ow_qmix", SMALL_CENTRE, 8), ("cw_qmix", SMALL_CENTRE, 8),
    ("qtran", {"nopt_coef": 1}, 8),
])  # fmt: skip
def test_the_best_joint_action_of_a_game_that_no_monotonic_mixing_can_represent(config, settings, pays):
    """All joint actions are seen equally often; QMIX and VDN give up the 8 for fear of the -12 beside it."""
    learner, batch = learner_of_the_game(config, **settings), every_joint_action()
    for _ in range(400 if config == "qtran" else 200):
        learner.take_update(batch)
    assert greedy_payoff(learner, batch) == pays


def test_qplex_represents_the_whole_game_and_qmix_does_not():
    """Both begin with agents that prefer the best joint action: QMIX cannot keep them there."""
    errors, payoffs = {}, {}
    for config, settings in (("qplex", {"qplex_advantage_grad": True}), ("qmix", {})):
        learner, batch = learner_of_the_game(config, **settings), every_joint_action()
        with th.no_grad():
            learner.agent.fc2.bias.copy_(th.tensor([1.0, 0.0, 0.0]))
        for _ in range(250):
            figures = learner.take_update(batch)
        errors[config], payoffs[config] = figures["loss_td"].item(), greedy_payoff(learner, batch)
    assert errors["qplex"] < 0.5 and errors["qmix"] > 10
    assert payoffs == {"qplex": 8, "qmix": 0}


def random_qplex(seed, **settings):
    th.manual_seed(seed)
    return shaken(QPLEXMixer(make_args("qplex", **settings)))


@pytest.mark.parametrize("seed", range(5))
def test_qplex_has_its_maximum_where_every_agent_has_its_own(seed):
    mixer, (N, n_actions, S) = random_qplex(seed), (3, 5, 7)
    q, state = th.randn(N, n_actions) * 3, th.randn(S) * 3
    joint = th.tensor(list(itertools.product(range(n_actions), repeat=N)))
    taken = q[th.arange(N), joint]
    values = mixer(taken, q.max(dim=-1).values.expand_as(taken), state.expand(len(joint), S), joint)
    assert joint[values.argmax()].tolist() == q.argmax(dim=-1).tolist()
    assert (mixer.advantage_weights(state.expand(len(joint), S), joint) > 0).all()


@pytest.mark.parametrize("through", [True, False])
def test_qplex_is_the_sum_of_dueling_parts_weighted_by_heads(through):
    mixer = random_qplex(0, qplex_advantage_grad=through)
    taken, best, state, actions = th.randn(3) - 1, th.rand(3), th.randn(7), th.tensor([4, 0, 2])
    onehots = th.cat([th.eye(5)[a] for a in actions])
    total = 0.0
    for i in range(3):
        w, b = mixer.hyper_w(state)[i].abs() + 1e-10, mixer.hyper_b(state)[i]
        weight = 0.0
        for k in range(4):
            key = mixer.key(state)[k].abs() + 1e-10
            of_agent = mixer.of_agents(state)[3 * k + i].sigmoid()
            weight += key * of_agent * mixer.of_actions(th.cat([state, onehots]))[3 * k + i].sigmoid()
        total += w * best[i] + b + weight * w * (taken[i] - best[i])
    th.testing.assert_close(mixer(taken, best, state, actions), total)


def test_an_advantage_without_a_gradient_moves_agents_as_their_values_do():
    slopes = {}
    for through in (True, False):
        mixer = random_qplex(0, qplex_advantage_grad=through)
        taken, best = th.randn(6, 3).sub(1).requires_grad_(), th.rand(6, 3).requires_grad_()
        states, actions = th.randn(6, 7, generator=th.Generator().manual_seed(1)), th.zeros(6, 3, dtype=th.int64)
        mixed = mixer(taken, best, states, actions).sum()
        slopes[through] = th.autograd.grad(mixed, [taken, best], allow_unused=True)
    w = mixer.hyper_w(states).abs() + 1e-10
    th.testing.assert_close(slopes[False][0], w)
    assert slopes[False][1] is None and (slopes[True][1] != 0).any()


def test_weights_of_joint_actions():
    q_tot, targets = th.tensor([1.0, 2.0, 3.0]), th.tensor([2.0, 2.0, 2.0])
    assert optimistic_weights(q_tot, targets, 0.1).tolist() == pytest.approx([1.0, 0.1, 0.1])
    greedy_value, is_greedy = th.tensor([3.0, 1.0, 2.0]), th.tensor([True, False, False])
    assert central_weights(targets, greedy_value, is_greedy, 0.1).tolist() == pytest.approx([1.0, 1.0, 0.1])


def test_weighted_qmix_with_every_weight_one_is_fitted_to_the_central_target():
    learner, batch = drifted(make_learner("cw_qmix", weighting_alpha=1)), make_batch()
    rows = EpisodeRows(batch)
    losses, figures = learner.losses(rows)
    assert figures["weight_mean"].item() == pytest.approx(1)
    with th.no_grad():
        inputs, obs = learner.mac.build_inputs(rows), rows["obs"]
        q = learner.agent.q_from_hidden(learner.agent.encode(inputs, rows.sizes), obs)
        networks = learner.target_central
        central = networks["agent"].q_from_hidden(networks["agent"].encode(inputs, rows.sizes), obs)
        best = q.masked_fill(~rows["avail_actions"], -th.inf).argmax(dim=-1, keepdim=True)
        ahead = networks["mixer"](central.gather(-1, best).squeeze(-1), rows["state"])
        targets = learner.targets_of(rows, rows.then(ahead).unsqueeze(-1)).squeeze(-1)
        mixed = learner.mixer(q.gather(-1, rows["actions"]).squeeze(-1), rows["state"])
    expected = ((rows.now(mixed) - targets).square() * rows.weights(1)).sum()
    th.testing.assert_close(losses["loss_td"].detach(), expected)


TABLES = {  # which loss trains which networks
    "qplex": {"loss_td": {"agent", "mixer"}},
    "ow_qmix": {"loss_td": {"agent", "mixer"}, "loss_central": {"central"}},
    "cw_qmix": {"loss_td": {"agent", "mixer"}, "loss_central": {"central"}},
    "qtran": {
        "loss_td": {"agent", "joint.q_encoder", "joint.q_net"},
        "loss_opt": {"agent", "joint.v_encoder", "joint.v_net"},
        "loss_nopt": {"agent", "joint.v_encoder", "joint.v_net"},
    },
}


@pytest.mark.parametrize("config", METHODS)
def test_which_loss_trains_what(config):
    learner = drifted(make_learner(config))
    for module in learner.targets.values():
        module.requires_grad_(True)
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    assert losses.keys() == TABLES[config].keys()
    named = [(name, p) for kind, m in learner.trained.items() for name, p in prefixed(kind, m)]
    named += [(f"{name}⁻", p) for kind, m in learner.targets.items() for name, p in prefixed(kind, m)]
    for name, loss in losses.items():
        gradients = th.autograd.grad(loss, [p for _, p in named], retain_graph=True, allow_unused=True)
        trained = {n for (n, _), g in zip(named, gradients, strict=True) if g is not None and (g != 0).any()}
        expected = TABLES[config][name]
        assert {group(n, expected) for n in trained} == expected


def prefixed(kind, module):
    return [(f"{kind}.{name}", p) for name, p in module.named_parameters()]


def group(name, groups):
    """Return which of the groups a parameter belongs to, or its own name."""
    return next((g for g in groups if name.startswith(f"{g}.")), name)


@pytest.mark.parametrize("config", METHODS)
def test_parts_of_a_batch_add_up_and_padding_changes_nothing(config):
    learner = drifted(make_learner(config))
    whole, packed = EpisodeRows(make_batch(), packed=False), EpisodeRows(make_batch(), packed=True)
    for name, loss in learner.losses(whole)[0].items():
        th.testing.assert_close(learner.losses(packed)[0][name], loss, rtol=1e-5, atol=1e-6)


def mixed_qplex(mixer, states):
    return mixer(th.linspace(-2, -1, N).expand(4, N), th.zeros(4, N), states, th.ones(4, N, dtype=th.int64))


def mixed_centrally(mixer, states):
    return mixer(th.linspace(-2, 1, N).expand(4, N), states)


def mixed_jointly(mixer, states):
    h = th.linspace(-1, 1, N * 8).view(N, 8).expand(4, N, 8)
    return mixer.q(h, states, th.ones(4, N, dtype=th.int64)) + mixer.v(h, states)


@pytest.mark.parametrize(("config", "make", "mixed"), [
    ("qplex", QPLEXMixer, mixed_qplex), ("ow_qmix", CentralMixer, mixed_centrally),
    ("qtran", JointValues, mixed_jointly),
])  # fmt: skip
def test_a_long_state_goes_through_one_narrow_layer_first(config, make, mixed):
    args = make_args(config, long_state=S - 1, long_state_dim=3)
    narrow, states = shaken(make(args)), th.randn(4, S)
    on_what_is_seen = make(SimpleNamespace(**(vars(args) | {"state_shape": 3, "long_state": None})))
    own = {name: value for name, value in narrow.state_dict().items() if not name.startswith("state.")}
    on_what_is_seen.load_state_dict(own)
    th.testing.assert_close(mixed(narrow, states), mixed(on_what_is_seen, narrow.state(states)))


@pytest.mark.parametrize("config", METHODS)
def test_a_mixer_that_does_not_fit_is_named(config):
    with pytest.raises(ValueError, match="mixes with mixer="):
        make_learner(config, mixer="none")
