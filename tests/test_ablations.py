"""The paper's ablations (Fig. 5b): a config takes one part away, and nothing else moves."""

import pytest
import torch as th
from fixtures_mmsa import CONFIG_DIR, N, S, losses_of, make_batch, make_learner

from components.episode_rows import EpisodeRows
from learners.q_learner import QLearner
from settings import resolve

ABLATIONS = {  # which settings differ, and what parameters begin with that are gone
    "mmsa_no_wm": ({"use_world_model"}, ("world_model.", "mixer.aggregate.")),
    "mmsa_no_sale": (
        {"agent", "wm_sale"},
        ("agent.sale.", "agent.phi.", "agent.head.", "agent.skip.", "world_model.sale."),
    ),
    "mmsa_no_klb": ({"kl_alpha"}, ()),
    "mmsa_no_gs": ({"mixer_state"}, ()),
}
LOSSES = {"loss_td", "loss_kl", "loss_rec", "loss_sale"}


def shapes(learner):
    return {
        f"{name}.{key}": tuple(parameter.shape)
        for name, module in learner.trained.items()
        for key, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def condition_size(learner):
    return learner.mixer.mixing.hyper_b_1.in_features


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_is_mmsa_but_for_the_settings_it_names(name):
    whole, less = (resolve(config, "lbf", {}, CONFIG_DIR) for config in ("mmsa", name))
    assert {key for key in whole if whole[key] != less[key]} == ABLATIONS[name][0] | {"name"}


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_optimiser_holds_no_parameter_of_the_part_and_all_others(name):
    whole, less = shapes(make_learner("mmsa")), make_learner(name)
    gone = {key for key in whole if key.startswith(ABLATIONS[name][1])}
    assert {key.split(".")[0] + "." for key in gone} == {begin.split(".")[0] + "." for begin in ABLATIONS[name][1]}
    own = {"agent.fc2.weight", "agent.fc2.bias"} if name == "mmsa_no_sale" else set()
    assert shapes(less).keys() == whole.keys() - gone | own
    in_optimiser = sum(p.numel() for group in less.optimiser.param_groups for p in group["params"])
    assert in_optimiser == sum(th.Size(shape).numel() for shape in shapes(less).values())


@pytest.mark.parametrize(
    ("name", "reads"), [("mmsa", 2 * S), ("mmsa_no_wm", S), ("mmsa_no_gs", S), ("mmsa_no_sale", 2 * S)]
)
def test_the_mixer_reads_what_is_left(name, reads):
    assert condition_size(make_learner(name)) == reads


@pytest.mark.parametrize("name", ABLATIONS)
def test_parts_that_stay_keep_their_shape(name):
    whole, less = shapes(make_learner("mmsa")), shapes(make_learner(name))
    changed = {key for key in whole.keys() & less.keys() if whole[key] != less[key]}
    if name in ("mmsa_no_wm", "mmsa_no_gs"):
        # the hypernetworks' first layers, which read one vector less
        assert {".".join(key.split(".")[:3]) for key in changed} == {
            f"mixer.mixing.{net}" for net in ("hyper_w_1", "hyper_w_2", "hyper_b_1", "value")
        }
    elif name == "mmsa_no_sale":
        assert {".".join(key.split(".")[:2]) for key in changed} == {
            "world_model.prior_encoder", "world_model.prior_decoder",
        }  # fmt: skip
    else:
        assert not changed


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("mmsa_no_wm", {"loss_td"}),
        ("mmsa_no_sale", LOSSES - {"loss_sale"}),
        ("mmsa_no_klb", LOSSES),
        ("mmsa_no_gs", LOSSES),
    ],
)
def test_the_losses_of_the_part_are_gone(name, losses):
    assert losses_of(make_learner("mmsa"), make_batch()).keys() == LOSSES
    assert losses_of(make_learner(name), make_batch()).keys() == losses


def test_without_balancing_the_losses_are_the_same_numbers_and_other_gradients():
    grads, values = [], []
    for name in ("mmsa", "mmsa_no_klb"):
        learner = make_learner(name, wm_sample=False)
        values.append(losses_of(learner, make_batch()))
        learner.train(make_batch(), t_env=0, episode_num=0)
        grads.append(learner.world_model.posterior_encoder.first.weight.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert not th.allclose(*grads, rtol=1e-2)


def test_without_the_global_state_q_tot_does_not_hang_on_it():
    D = N * make_learner("mmsa").args.latent_dim
    qs, rollout = th.randn(5, N), th.randn(5, 4, D)
    for name, hangs in (("mmsa", True), ("mmsa_no_gs", False)):
        mixer = make_learner(name).mixer
        one, other = (mixer(qs, states, rollout) for states in (th.zeros(5, S), 5 * th.randn(5, S)))
        assert th.equal(one, other) is not hangs


def test_a_mixer_that_would_see_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to see"):
        make_learner("mmsa_no_gs", use_world_model=False)


def test_without_a_world_model_and_sale_it_is_qmix():
    learner = make_learner("mmsa_no_sale", use_world_model=False)
    qmix = make_learner("qmix")
    assert isinstance(qmix, QLearner) and shapes(learner) == shapes(qmix)
    assert losses_of(learner, make_batch()) == losses_of(qmix, make_batch())


def test_mbvd_is_mmsa_without_sale_and_with_losses_that_have_no_weights():
    mbvd, ablation = (resolve(name, "matrix_game", {}, CONFIG_DIR) for name in ("mbvd", "mmsa_no_sale"))
    changed = {key: mbvd[key] for key in mbvd if mbvd[key] != ablation[key]}
    weights = {"kl_reduction": "sum", "kl_normal_coef": 1.0, "rec_coef": 1.0, "rec_hidden_coef": 1.0, "avail_coef": 1.0}
    assert changed == {"name": "mbvd", "rollout_agg": "gru_reverse", "wm_td_grad": False, **weights}
    settings = {key: value for key, value in changed.items() if key != "name"}
    one, other = make_learner("mbvd"), make_learner("mmsa", agent="rnn", wm_sale=False, **settings)
    th.manual_seed(1)
    losses, _ = one.losses(EpisodeRows(make_batch()))
    th.manual_seed(1)
    again, _ = other.losses(EpisodeRows(make_batch()))
    assert losses.keys() == {"loss_td", "loss_kl", "loss_rec", "loss_avail"} == again.keys()
    assert all(losses[name] == again[name] for name in losses)
    gradients = th.autograd.grad(losses["loss_td"], list(one.world_model.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_mbvd_learns_which_actions_there_are_and_imagines_no_others():
    learner, batch = make_learner("mbvd", kl_coef=0, wm_sample=False), make_batch()  # else it takes more updates
    batch.array("avail_actions")[..., 1:] = batch.array("avail_actions")[..., :1]  # all of them, or none but 0
    batch.array("avail_actions")[..., 0] = batch.array("filled")
    batch.array("obs")[..., 0] = batch.array("avail_actions")[..., 1]  # which can be seen
    rows = EpisodeRows(batch)
    with th.no_grad():
        h = learner.agent.encode(learner.mac.build_inputs(rows), rows.sizes)
    adam = th.optim.Adam(learner.world_model.parameters(), lr=0.01)
    for _ in range(150):
        _, losses, figures = learner.world_model_losses(rows, h)
        adam.zero_grad()
        sum(losses.values()).backward()
        adam.step()
    assert figures["avail_right"] > 0.95
    posterior = learner.world_model.posterior(h)
    predicted = learner.world_model.available(learner.world_model.decode_hidden(posterior.mean))
    assert (predicted == rows["avail_actions"]).float().mean() > 0.95
    actions = learner.imagined_actions(learner.world_model.decode_hidden(posterior.mean), th.ones_like(predicted))
    assert predicted.gather(-1, actions.unsqueeze(-1)).all() and not predicted.all()


def test_where_no_action_is_predicted_to_be_available_all_are():
    model = make_learner("mbvd").world_model
    with th.no_grad():
        for parameter in model.avail_decoder.last.parameters():
            parameter.zero_()
        model.avail_decoder.last.bias[2] = 1
        assert model.available(th.zeros(4, N, 8)).nonzero()[:, -1].unique().tolist() == [2]
        model.avail_decoder.last.bias[2] = -1
        assert model.available(th.zeros(4, N, 8)).all()
