"""QMIX, VDN and IQL as PyMARL2 and EPyMARL learn them: each choice against a form written out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch as th
from fixtures_mmsa import CONFIG_DIR, drifted, make_args, make_batch, make_learner
from torch import nn

from components.episode_rows import EpisodeRows
from learners.reward_moments import RewardMoments
from modules.mixers import REGISTRY as MIXERS
from settings import resolve

PARITY = [f"{method}_{host}" for method in ("qmix", "vdn", "iql") for host in ("pymarl2", "epymarl")]
CHOICES = {  # td_lambda, batch_size, batch_size_run, lr, ε's length, GRU, last action, standardised
    "qmix_pymarl2": (0.6, 128, 8, 0.001, 100_000, True, True, False),
    "vdn_pymarl2": (0.6, 128, 8, 0.001, 100_000, True, True, False),
    "iql_pymarl2": (0, 32, 8, 0.0005, 100_000, True, True, False),
    "qmix_epymarl": (0, 32, 1, 0.0005, 50_000, False, False, True),
    "vdn_epymarl": (0, 32, 1, 0.0005, 50_000, False, False, True),
    "iql_epymarl": (0, 32, 1, 0.0003, 200_000, True, False, True),
}
NAMES = ("td_lambda", "batch_size", "batch_size_run", "lr", "epsilon_anneal_time", "use_rnn", "obs_last_action",
         "standardise_rewards")  # fmt: skip


@pytest.mark.parametrize("config", PARITY)
def test_choices_are_the_hosts(config):
    settings = resolve(config, "lbf", {}, CONFIG_DIR)
    assert tuple(settings[name] for name in NAMES) == CHOICES[config]
    assert (settings["updates_per_run"], settings["truncation"], settings["double_q"]) == (1, "end", True)
    assert (settings["target_update_interval"], settings["buffer_size"], settings["gamma"]) == (200, 5000, 0.99)


def test_half_the_error_is_a_clip_and_an_epsilon_of_twice_the_size():
    """Adam divides by the gradient's size, so PyMARL2's halved loss is ours with both doubled."""
    ours, theirs = (drifted(make_learner("qmix_pymarl2", lr=0.01)) for _ in range(2))
    theirs.load_state(ours.state_tensors(), ours.state_numbers())
    half = th.optim.Adam(theirs.parameters, lr=0.01, eps=1e-8)
    batch = make_batch()
    for _ in range(5):
        ours.take_update(batch)
        half.zero_grad()
        (0.5 * theirs.losses(EpisodeRows(batch))[0]["loss_td"]).backward()
        nn.utils.clip_grad_norm_(theirs.parameters, 10)
        half.step()
    for one, other in zip(ours.parameters, theirs.parameters, strict=True):
        th.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", ["qmix_pymarl2", "qmix_epymarl", "mmsa_paper"])
def test_hypernetworks_read_all_of_a_long_state(config):
    args = make_args(config)
    mixer = MIXERS[args.mixer](SimpleNamespace(**(vars(args) | {"state_shape": 1000})))
    assert mixer.state.size == 1000 and mixer.mixing.hyper_w_1[0].in_features >= 1000


@pytest.mark.parametrize("config", ["qmix_pymarl2", "qmix_epymarl"])
def test_the_mixer_starts_as_pytorch_starts_linear_layers(config):
    args = make_args(config)
    th.manual_seed(3)
    mixing = MIXERS["qmix"](args).mixing
    for layer in (mixing.hyper_w_2[2], mixing.value[2], mixing.value[0]):
        bound = 1 / math.sqrt(layer.in_features)
        assert bound / 2 < layer.weight.abs().max() <= bound and layer.bias.abs().max() <= bound


def test_agents_without_memory_are_two_layers_and_relu():
    learner = make_learner("qmix_epymarl")
    agent, x = learner.agent, th.randn(6, 3, learner.mac.input_size)
    fc1, layer = agent.encoder.fc1, agent.encoder.layer[0]
    h = (x @ fc1.weight.T + fc1.bias).clamp(min=0)
    h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    th.testing.assert_close(agent.encode(x, [6]), h)
    with pytest.raises(ValueError, match="memoryless=tanh"):
        make_learner("mmsa", use_rnn=False, memoryless="relu")


def test_rewards_of_batches_count_as_often_as_they_are_learnt_from():
    learner, batch = make_learner("vdn_epymarl"), make_batch()
    learner.note_episodes(batch)
    assert learner.reward_moments.count == 0
    for _ in range(2):
        learner.train(batch, 1, 1)
    rewards = batch.to("cpu")["reward"][:, :-1].double().flatten()
    expected = RewardMoments(1, "cpu")
    expected.add(rewards.repeat(2).unsqueeze(-1))
    assert learner.reward_moments.count == 2 * rewards.numel() > 2 * batch.array("filled")[:, 1:].sum()
    th.testing.assert_close(learner.reward_moments.mean, rewards.mean().view(1))
    th.testing.assert_close(learner.reward_moments.std, rewards.std(correction=0).view(1))
    th.testing.assert_close(learner.reward_moments.std, expected.std)


@pytest.mark.parametrize(("config", "settings", "says"), [
    ("mappo", {"standardise_rewards": True, "standardise_from": "batches"}, "sample batches"),
    ("qmix", {"initial_value": "null", "initial_slope": 1}, "give that a number"),
    ("qplex", {"initial_slope": 1}, "mixer=qplex is not: take null"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(config, settings, says):
    with pytest.raises(ValueError, match=says):
        make_learner(config, **settings)
