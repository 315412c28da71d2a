"""HPN and SET: entities in another order change nothing but the actions on them."""

import pytest
import torch as th
from fixtures_mmsa import GROUPS, SCHEME, drifted, make_args, make_batch, marks, shaken
from tiny_runs import play, read

import main
from components.episode_rows import EpisodeRows
from controllers import REGISTRY as CONTROLLERS
from envs.entities import laid_out
from learners import REGISTRY as LEARNERS
from modules.agents import REGISTRY as AGENTS
from modules.entity_input import HyperInput, SetInput
from settings import resolve
from training.assembly import build
from utils.errors import UserError
from utils.logging import Logger

# 2 own numbers, 3 enemies of 4 numbers (actions 2, 3, 4), 2 allies of 3 numbers
OBS, INPUTS, A = 20, 23, 5
ENTITIES = laid_out([(None, 1, 2), ("enemy", 3, 4), ("ally", 2, 3)], {"enemy": (2, 3, 4)})


def agent(name, seed=0, **settings):
    config = {"hpn_rnn": "hpn_qmix", "set_rnn": "set_qmix", "sale_rnn": "mmsa_hpn"}[name]
    args = make_args(config, entity_dim=6, **settings)
    args = type(args)(**(vars(args) | {"entities": ENTITIES, "obs_shape": OBS, "n_actions": A}))
    th.manual_seed(seed)
    return shaken(AGENTS[name](INPUTS, args))


def changed_places(x, enemies, allies):
    """Return inputs whose enemies and allies come in another order."""
    own, enemy, ally, rest = x[..., :2], x[..., 2:14], x[..., 14:20], x[..., 20:]
    enemy = enemy.unflatten(-1, (3, 4))[..., enemies, :].flatten(-2)
    return th.cat([own, enemy, ally.unflatten(-1, (2, 3))[..., allies, :].flatten(-2), rest], dim=-1)


@pytest.mark.parametrize(("name", "heads"), [
    ("hpn_rnn", 1), ("hpn_rnn", 3), ("set_rnn", 1), ("sale_rnn", 1), ("sale_rnn", 2),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_histories_do_not_know_the_order_of_entities(name, heads, seed):
    agents, x = agent(name, seed, hpn_heads=heads), th.randn(4, 3, INPUTS)
    other = changed_places(x, [2, 0, 1], [1, 0])
    h, again = agents.encode(x, [4]), agents.encode(other, [4])
    assert (x != other).any() and (h.std() > 0.01)
    th.testing.assert_close(again, h, rtol=0, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_hpn_s_attacks_follow_the_enemies_and_nothing_else_moves(heads, seed):
    agents, x, order = agent("hpn_rnn", seed, hpn_heads=heads).double(), th.randn(4, 3, INPUTS).double(), [2, 0, 1]
    other = changed_places(x, order, [1, 0])
    q, again = (agents.q_from_hidden(agents.encode(each, [4]), each[..., :OBS]) for each in (x, other))
    th.testing.assert_close(again[..., :2], q[..., :2], rtol=0, atol=1e-6)
    th.testing.assert_close(again[..., 2:], q[..., 2:][..., order], rtol=0, atol=1e-6)
    assert (q[..., 2] - q[..., 3]).abs().max() > 0.01


def test_hpn_s_first_layer_has_weights_that_each_entity_makes_itself():
    layer, x = shaken(HyperInput(ENTITIES, OBS, INPUTS, out_size=7, hyper_dim=6)), th.randn(INPUTS)
    slow = layer.of_own(th.cat([x[:2], x[20:]]))
    for kind, entities in enumerate((x[2:14].view(3, 4), x[14:20].view(2, 3))):
        for e in entities:
            hidden = th.cat([layer.hyper[kind](e).relu(), th.ones(1)])
            made = layer.weights[kind].weight.view(7, len(e), -1) @ hidden  # (7, F)
            slow = slow + made @ e
    th.testing.assert_close(layer(x), slow, rtol=1e-4, atol=1e-5)


def test_hpn_s_heads_are_averaged_with_learnt_weights():
    layer, x = shaken(HyperInput(ENTITIES, OBS, INPUTS, out_size=7, hyper_dim=6, heads=3)), th.randn(INPUTS)
    each = th.zeros(3, 7)
    for head in range(3):
        for kind, entities in enumerate((x[2:14].view(3, 4), x[14:20].view(2, 3))):
            for e in entities:
                hidden = th.cat([layer.hyper[kind](e).relu(), th.ones(1)])
                weights = layer.weights[kind].weight[7 * head : 7 * head + 7]
                each[head] += weights.view(7, len(e), -1) @ hidden @ e
    slow = layer.of_own(th.cat([x[:2], x[20:]])) + (layer.merge.weight.softmax(dim=0) * each).sum(dim=0)
    th.testing.assert_close(layer(x), slow, rtol=1e-4, atol=1e-5)
    agents, h = agent("hpn_rnn", hpn_heads=3), th.randn(8)
    q, first, shares = agents.q_from_hidden(h, x[:OBS]), agents.encoder.fc1, agents.merge[0].weight.softmax(dim=0)
    for k, e in enumerate(x[2:14].view(3, 4)):
        hidden = th.cat([first.hyper[0](e).relu(), th.ones(1)])
        made = agents.of_h[0].weight.view(3, -1, 8) @ h  # of each head
        scores = made @ hidden + agents.of_entity[0](hidden)
        th.testing.assert_close(q[2 + k], (shares[:, 0] * scores).sum(), rtol=1e-4, atol=1e-5)


def test_hpn_s_last_layer_has_weights_that_each_enemy_makes_itself():
    agents, h, x = agent("hpn_rnn"), th.randn(8), th.randn(OBS)
    q, first = agents.q_from_hidden(h, x), agents.encoder.fc1
    for k, e in enumerate(x[2:14].view(3, 4)):
        hidden = th.cat([first.hyper[0](e).relu(), th.ones(1)])
        made = agents.of_h[0].weight.t() @ hidden
        th.testing.assert_close(q[2 + k], made @ h + agents.of_entity[0](hidden)[0], rtol=1e-4, atol=1e-5)
    th.testing.assert_close(q[:2], agents.fc2(h))


def test_set_s_first_layer_adds_up_what_a_network_makes_of_each():
    layer, x = shaken(SetInput(ENTITIES, OBS, INPUTS, out_size=7, hyper_dim=6)), th.randn(INPUTS)
    slow = layer.of_own(th.cat([x[:2], x[20:]]))
    for kind, entities in enumerate((x[2:14].view(3, 4), x[14:20].view(2, 3))):
        slow = slow + layer.outer[kind].weight @ sum(layer.inner[kind](e).relu() for e in entities)
    th.testing.assert_close(layer(x), slow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("config", "heads"), [("hpn_qmix", 1), ("hpn_qmix", 2), ("hpn_vdn", 1), ("set_qmix", 1)])
def test_the_td_loss_trains_every_tensor_of_agents_and_mixer_and_no_target(config, heads):
    args = make_args(config, entity_dim=6, hpn_heads=heads)
    args = type(args)(**vars(args) | {"entities": laid_out([(None, 1, 2), ("thing", 2, 1)], {"thing": (3, 4)})})
    learner = LEARNERS[args.learner](CONTROLLERS[args.mac](SCHEME, GROUPS, args), SCHEME, Logger(), args)
    drifted(learner)
    for target in learner.targets.values():
        target.requires_grad_(True)
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    agents = learner.agent
    groups = {
        "first layer": agents.encoder.fc1, "gru": agents.encoder, "head": agents.fc2,
        "of entities": getattr(agents, "of_h", None), "their own": getattr(agents, "of_entity", None),
        "mixer": learner.mixer if config != "hpn_vdn" else None,
        **{f"{name}⁻": target for name, target in learner.targets.items() if list(target.parameters())},
    }  # fmt: skip
    found = marks(losses["loss_td"], groups)
    acts_on = "-" if config == "set_qmix" else "x"
    mixes = "-" if config == "hpn_vdn" else "x"
    here = {"first layer": "x", "gru": "x", "head": "x", "of entities": acts_on, "their own": acts_on, "mixer": mixes}
    assert losses.keys() == {"loss_td"} and {name: found[name] for name in here} == here
    assert all(mark == "." for name, mark in found.items() if name not in here)


@pytest.mark.parametrize("config", ["hpn_qmix", "hpn_vdn", "set_qmix", "mmsa_hpn"])
def test_they_train_on_foraging_and_refuse_what_nothing_is_known_of(config, tmp_path):
    folder = play(config, "lbf", tmp_path, entity_dim="6", rnn_hidden_dim="8")
    assert {"loss_td", "test_return_mean"} <= read(folder, "metrics.json").keys()
    with pytest.raises(UserError, match="made of: lbf, smax"):
        build(resolve(config, "matrix_game", {"seed": "1"}, main.CONFIG_DIR))
    with pytest.raises(UserError, match="share_parameters=True"):
        build(resolve(config, "lbf", {"seed": "1", "share_parameters": "false"}, main.CONFIG_DIR))


def test_what_is_imagined_shows_no_entities():
    with pytest.raises(UserError, match="imagination shows nothing"):
        build(resolve("mmsa", "lbf", {"seed": "1", "agent": "hpn_rnn"}, main.CONFIG_DIR))
