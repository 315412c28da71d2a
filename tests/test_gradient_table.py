"""Which loss trains which parameters: every cell of the gradient table, for the shipped configs and the switches.

x: every tensor of the group gets a gradient. `.`: no tensor does. `-`: this learner has no such group.
L_KL reaches φ_s because φ^sa is read by the prior's encoder, as z^s and z^sa are, which train neither f_s nor g_s.
The targets are thawed for the test, so that their dots speak of the losses and not of frozen parameters.
"""

import pytest
import torch as th
from fixtures_mmsa import ONLINE, drifted, make_batch, make_learner, marks

from components.episode_rows import EpisodeRows

COLUMNS = "gru f g φ head imagined hypernets aggregate enc_q dec_q f_s g_s φ_s enc_p dec_p agent⁻ mixer⁻"
MMSA = """
    loss_td   x  x  x  x  x     -          x         x           x     .      .   .   x    x     .       .      .
    loss_kl   .  .  .  .  .     -          .         .           x     .      .   .   x    x     .       .      .
    loss_rec  .  .  .  .  .     -          .         .           x     x      .   .   x    x     x       .      .
    loss_sale .  .  .  .  .     -          .         .           .     .      x   x   .    .     .       .      .
"""
AGENT_SALE = """
    loss_sale_agent
              .  x  x  .  .     -          .         .           .     .      .   .   .    .     .       .      .
"""
TD_WITHOUT_SALE = """
    loss_td   x  .  .  x  x     -          x         x           x     .      .   .   x    x     .       .      .
"""
TD_WITHOUT_MODEL = """
    loss_td   x  x  x  x  x     -          x         x           .     .      .   .   .    .     .       .      .
"""
TD_AT_HORIZON_ZERO = """
    loss_td   x  x  x  x  x     -          x         x           x     .      .   .   .    .     .       .      .
"""
TD_THROUGH_DECODER = """
    loss_td   x  x  x  x  x     -          x         x           x     .      .   .   x    x     x       .      .
"""
TD_THROUGH_DECODER_WITHOUT_SALE = """
    loss_td   x  .  .  x  x     -          x         x           x     .      .   .   x    x     x       .      .
"""
ON_OBSERVATIONS = """
    loss_td   x  x  x  x  x     .          x         x           x     .      .   .   x    x     .       .      .
    loss_kl   .  .  .  .  .     .          .         .           x     .      .   .   x    x     .       .      .
    loss_rec  .  .  .  .  .     .          .         .           x     x      .   .   x    x     x       .      .
    loss_sale .  .  .  .  .     .          .         .           .     .      x   x   .    .     .       .      .
    loss_distil
              .  .  .  .  .     x          .         .           .     .      .   .   .    .     .       .      .
"""
ON_OBSERVATIONS_PAPER = """
    loss_td   x  .  .  x  x     .          x         x           x     .      .   .   x    x     .       .      .
    loss_sale_agent
              .  x  x  .  .     .          .         .           .     .      .   .   .    .     .       .      .
"""
ALL_ON_OBSERVATIONS = """
    loss_td   .  x  x  x  x     .          x         x           .     .      .   .   .    .     .       .      .
    loss_distil
              x  .  .  .  .     x          .         .           .     .      .   .   .    .     .       .      .
"""
TD_OF_THE_LETTER_ON_OBSERVATIONS = """
    loss_td   x  x  x  x  x     .          x         x           .     .      .   .   .    .     .       .      .
"""
HISTORIES = """
    loss_imagined_history
              .  .  .  .  .     -          .         .           x     x      .   .   x    x     .       .      .
"""
HISTORIES_THROUGH_DECODER = """
    loss_imagined_history
              .  .  .  .  .     -          .         .           x     x      .   .   x    x     x       .      .
"""
WITHOUT_WORLD_MODEL = """
    loss_td   x  x  x  x  x     -          x         -           -     -      -   -   -    -     -       .      .
"""
WITHOUT_WORLD_MODEL_PAPER = """
    loss_td   x  .  .  x  x     -          x         -           -     -      -   -   -    -     -       .      .
    loss_sale_agent
              .  x  x  .  .     -          .         -           -     -      -   -   -    -     -       .      .
"""
AVAILABLE = """
    loss_avail
              .  .  .  .  .     -          .         .           x     x      .   .   .    .     .       .      .
"""
MBVD = """
    loss_td   x  -  -  -  x     -          x         x           .     .      -   -   .    .     .       .      .
    loss_kl   .  -  -  -  .     -          .         .           x     .      -   -   x    x     .       .      .
    loss_rec  .  -  -  -  .     -          .         .           x     x      -   -   x    x     x       .      .
    loss_avail
              .  -  -  -  .     -          .         .           x     x      -   -   .    .     .       .      .
"""
FIXED = {"agent_sale_loss": True, "sale_fixed": True}
# config, switches, the table in pieces: a later row replaces an earlier one of its name
CASES = {
    "mmsa": ("mmsa", {}, [MMSA]),
    "mmsa_paper": ("mmsa_paper", {}, [MMSA, TD_WITHOUT_MODEL]),
    "mbvd": ("mbvd", {}, [MBVD]),
    "mmsa_hpn": ("mmsa_hpn", {"entity_dim": 6}, [MMSA]),
    "mmsa_td7": ("mmsa_td7", {}, [MMSA, TD_WITHOUT_SALE, AGENT_SALE]),
    "paper, wm_td_grad": ("mmsa_paper", {"wm_td_grad": True}, [MMSA, TD_THROUGH_DECODER]),
    "paper, with TD7's SALE": (
        "mmsa_paper",
        {"wm_td_grad": True, "sale_detach": True, "agent_sale_loss": True},
        [MMSA, TD_THROUGH_DECODER_WITHOUT_SALE, AGENT_SALE],
    ),
    "wm_td_grad=false": ("mmsa", {"wm_td_grad": False}, [MMSA, TD_WITHOUT_MODEL]),
    "online": ("mmsa", ONLINE, [MMSA]),
    "wm_hidden=online": ("mmsa", {"wm_hidden": "online"}, [MMSA]),
    "rollout_hidden=online": ("mmsa", {"rollout_hidden": "online"}, [MMSA]),
    "rollout_mode=decoded": ("mmsa", {"rollout_mode": "decoded"}, [MMSA, TD_THROUGH_DECODER]),
    "rec_target=next": ("mmsa", {"rec_target": "next"}, [MMSA]),
    "history_from=embeddings": ("mmsa", {"history_from": "embeddings"}, [MMSA]),
    "history_target=next": ("mmsa", {"history_target": "next"}, [MMSA]),
    "both": ("mmsa", {"history_from": "embeddings", "history_target": "next"}, [MMSA]),
    "imagined_history_coef": ("mmsa", {"imagined_history_coef": 1}, [MMSA, HISTORIES]),
    "the same, from embeddings": (
        "mmsa",
        {"imagined_history_coef": 1, "imagined_history_steps": 3, "history_from": "embeddings"},
        [MMSA, HISTORIES_THROUGH_DECODER],
    ),
    "avail_coef": ("mmsa", {"avail_coef": 1}, [MMSA, AVAILABLE]),
    "wm_sale_grad": ("mmsa", {"wm_sale_grad": True}, [MMSA]),
    "normalised": ("mmsa", {"wm_normalise_phi": True, "wm_normalise_z_sa": True}, [MMSA]),
    "rec_stop_gradient=false": ("mmsa", {"rec_stop_gradient": False}, [MMSA]),
    "wm_per_agent": ("mmsa", {"wm_per_agent": True}, [MMSA]),
    "kl_reduction=sum": ("mmsa", {"kl_reduction": "sum"}, [MMSA]),
    # with a mean: a GRU that reads one latent alone has no use for its recurrent weights
    "rollout_horizon=0": (
        "mmsa",
        {"rollout_horizon": 0, "rollout_agg": "mean"},
        [MMSA, TD_AT_HORIZON_ZERO],
    ),
    "wm_sample=false": ("mmsa", {"wm_sample": False}, [MMSA]),
    "agent_sale_loss alone": ("mmsa", {"agent_sale_loss": True}, [MMSA, AGENT_SALE]),
    "sale_detach alone": ("mmsa", {"sale_detach": True}, [MMSA, TD_WITHOUT_SALE]),
    "sale_input=obs": ("mmsa", {"sale_input": "obs"}, [ON_OBSERVATIONS]),
    "paper, φ on observations": (
        "mmsa_paper",
        {"phi_input": "obs"},
        [ON_OBSERVATIONS, TD_OF_THE_LETTER_ON_OBSERVATIONS],
    ),
    "paper, all on observations": (
        "mmsa_paper",
        {"sale_input": "obs", "phi_input": "obs"},
        [ON_OBSERVATIONS, ALL_ON_OBSERVATIONS],
    ),
    "td7, sale_input=obs": (
        "mmsa_td7",
        {"sale_input": "obs"},
        [ON_OBSERVATIONS, ON_OBSERVATIONS_PAPER],
    ),
    "agent_sale_hidden=target": (
        "mmsa",
        {"agent_sale_loss": True, "agent_sale_hidden": "target"},
        [MMSA, AGENT_SALE],
    ),
    "sale_fixed": ("mmsa", FIXED, [MMSA, TD_WITHOUT_SALE, AGENT_SALE]),
    "td7, online": ("mmsa_td7", ONLINE, [MMSA, TD_WITHOUT_SALE, AGENT_SALE]),
    "use_world_model=false": ("mmsa", {"use_world_model": False}, [WITHOUT_WORLD_MODEL]),
    "td7, use_world_model=false": (
        "mmsa_td7",
        {"use_world_model": False},
        [WITHOUT_WORLD_MODEL_PAPER],
    ),
}


def read_table(pieces):
    """Return {loss: {group: mark}}."""
    groups, table = COLUMNS.split(), {}
    for piece in pieces:
        words = piece.split()
        width = len(groups) + 1
        assert len(words) % width == 0, words
        for start in range(0, len(words), width):
            name, *marks = words[start : start + width]
            table[name] = dict(zip(groups, marks, strict=True))
    return table


def modules_by_group(learner):
    agent, mixer, model = learner.agent, learner.mixer, learner.world_model
    sale, heads = getattr(agent, "sale", None), (getattr(agent, name, None) for name in ("head", "skip", "fc2"))
    return {
        "gru": agent.encoder,
        "f": sale and sale.f,
        "g": sale and sale.g,
        "φ": getattr(agent, "phi", None),
        "head": th.nn.ModuleList([head for head in heads if head is not None]),
        "imagined": getattr(agent, "imagined_head", None),
        "hypernets": mixer.mixing,
        "aggregate": mixer.aggregate,
        "enc_q": model and model.posterior_encoder,
        "dec_q": model and model.posterior_decoder,
        "f_s": model and model.sale and model.sale.f,
        "g_s": model and model.sale and model.sale.g,
        "φ_s": model and model.phi,
        "enc_p": model and model.prior_encoder,
        "dec_p": model and model.prior_decoder,
        "agent⁻": learner.target_agent,
        "mixer⁻": learner.target_mixer,
    }


@pytest.mark.parametrize("case", CASES)
def test_each_loss_trains_what_it_should_and_nothing_else(case):
    config, settings, pieces = CASES[case]
    learner = drifted(make_learner(config, **settings))
    for target in learner.targets.values():
        target.requires_grad_(True)
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    groups = modules_by_group(learner)
    found = {name: marks(loss, groups) for name, loss in losses.items()}
    assert found == read_table(pieces)


def test_what_predicts_available_actions_is_trained_by_its_own_loss_alone():
    learner = drifted(make_learner("mbvd"))
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    groups = {"avail": learner.world_model.avail_decoder}
    found = {name: marks(loss, groups)["avail"] for name, loss in losses.items()}
    assert found == {"loss_td": ".", "loss_kl": ".", "loss_rec": ".", "loss_avail": "x"}


@pytest.mark.parametrize("config", ["mmsa", "mmsa_paper", "mmsa_td7", "mmsa_hpn", "qmix"])
def test_the_groups_of_the_table_are_all_the_parameters_there_are(config):
    learner = make_learner(config)
    ours = {id(p) for module in learner.trained.values() for p in module.parameters()}
    assert {id(p) for group in learner.optimiser.param_groups for p in group["params"]} == ours
    if config.startswith("mmsa"):
        groups = modules_by_group(learner)
        in_table = {id(p) for name, m in groups.items() if m and "⁻" not in name for p in m.parameters()}
        assert in_table == ours


def test_what_is_added_to_the_agents_is_trained_by_the_loss_that_reads_it():
    settings = {"agent_sale_loss": True, "agent_sale_predictor": True, "sale_skip": True}
    learner = drifted(make_learner("mmsa", **settings))
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    groups = {"predictor": learner.agent.predictor, "skip": learner.agent.skip}
    found = {name: marks(loss, groups) for name, loss in losses.items()}
    nothing = {"predictor": ".", "skip": "."}
    others = {name: nothing for name in ("loss_kl", "loss_rec", "loss_sale")}
    trained = {"loss_td": nothing | {"skip": "x"}, "loss_sale_agent": nothing | {"predictor": "x"}}
    assert found == others | trained


def test_gradients_reach_histories_through_fixed_encoders():
    """They are constants of Q, as a target's are, but what they read is not."""
    learner = drifted(make_learner("mmsa", **FIXED))
    h = th.randn(2, 3, learner.mac.hidden_size, requires_grad=True)
    embedded = learner.agent.value_sale.f(h)
    assert th.autograd.grad(embedded.square().sum(), h)[0].abs().sum() > 0


@pytest.mark.parametrize("config", ["mmsa", "qmix"])
def test_targets_are_frozen_copies_outside_the_optimiser(config):
    learner = make_learner(config)
    trained = {p.data_ptr() for module in learner.trained.values() for p in module.parameters()}
    for target in learner.targets.values():
        for parameter in target.parameters():
            assert not parameter.requires_grad
            assert parameter.data_ptr() not in trained
