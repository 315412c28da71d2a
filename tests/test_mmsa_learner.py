"""The MMSA learner as a whole: its losses in slow form, its neighbours, its targets, that it learns."""

import math

import pytest
import torch as th
from fixtures_mmsa import (
    CONFIG_DIR,
    ONLINE,
    drifted,
    losses_of,
    make_batch,
    make_learner,
)
from slow_mmsa import slow_losses

from components.episode_rows import EpisodeRows
from settings import declared_settings

MEANS = {"wm_sample": False, "rollout_sample": False}
WEIGHTS = {"kl_coef": 0.5, "kl_normal_coef": 0.3, "rec_coef": 2, "rec_hidden_coef": 5, "sale_coef": 3}
WEIGHTS |= {"agent_sale_coef": 0.7}
HISTORIES = {"imagined_history_coef": 3, "imagined_history_steps": 3}
ABLATIONS = ("mmsa_no_wm", "mmsa_no_sale", "mmsa_no_klb", "mmsa_no_gs")
KINDS = {
    "iql": ("iql", {}),
    "vdn": ("vdn", {}),
    "qmix": ("qmix", {}),
    "qmix, the target's own choice": ("qmix", {"double_q": False}),
    "mmsa": ("mmsa", MEANS),
    "mmsa_paper": ("mmsa_paper", MEANS),
    "mmsa_td7": ("mmsa_td7", MEANS),
    "weighted": ("mmsa_td7", MEANS | WEIGHTS),
    "weighted, the letter": ("mmsa_paper", MEANS | WEIGHTS),
    "horizon 0": ("mmsa", MEANS | {"rollout_horizon": 0}),
    "online": ("mmsa", MEANS | ONLINE),
    "learns from the target's, starts from the online ones": ("mmsa", MEANS | {"rollout_hidden": "online"}),
    "learns from the online ones, starts from the target's": ("mmsa", MEANS | {"wm_hidden": "online"}),
    "rollout detached": ("mmsa", MEANS | {"wm_td_grad": False}),
    "predicting": ("mmsa", MEANS | {"rec_target": "next"} | WEIGHTS),
    "decoded": ("mmsa", MEANS | {"rollout_mode": "decoded"}),
    "decoded, predicting": ("mmsa", MEANS | {"rollout_mode": "decoded", "rec_target": "next"}),
    "histories from embeddings": ("mmsa", MEANS | {"history_from": "embeddings"}),
    "histories of the next row": ("mmsa", MEANS | {"history_target": "next"}),
    "those of decoded latents": ("mmsa", MEANS | {"history_target": "next", "rollout_mode": "decoded"}),
    "both": ("mmsa", MEANS | {"history_from": "embeddings", "history_target": "next"}),
    "gradients through SALE": ("mmsa", MEANS | {"wm_sale_grad": True}),
    "normalised": ("mmsa", MEANS | {"wm_normalise_phi": True, "wm_normalise_z_sa": True}),
    "targets that move": ("mmsa", MEANS | {"rec_stop_gradient": False}),
    "L_KL summed": ("mmsa", MEANS | {"kl_reduction": "sum"}),
    "a prior of the change": ("mmsa", MEANS | {"wm_prior": "change"}),
    "VAE-2 per agent": ("mmsa", MEANS | {"wm_per_agent": True}),
    "per agent, from embeddings": ("mmsa", MEANS | {"wm_per_agent": True, "history_from": "embeddings"}),
    "imagined histories": ("mmsa", MEANS | HISTORIES),
    "imagined histories, the letter": ("mmsa_paper", MEANS | HISTORIES),
    "TD into the model, the letter": ("mmsa_paper", MEANS | {"wm_td_grad": True}),
    "no SALE, histories from φ": ("mmsa_no_sale", MEANS | {"history_from": "embeddings", "history_target": "next"}),
    "on observations": ("mmsa_td7", MEANS | {"sale_input": "obs"}),
    "φ on observations": ("mmsa_paper", MEANS | {"phi_input": "obs"}),
    "all on observations": ("mmsa_paper", MEANS | {"sale_input": "obs", "phi_input": "obs"}),
    "QMIX's agents, the letter": ("mmsa_paper", MEANS | {"agent": "rnn"}),
    "SALE on the target's histories": ("mmsa_td7", MEANS | {"agent_sale_hidden": "target"}),
    "SALE through a predictor, fixed": ("mmsa_td7", MEANS | {"agent_sale_predictor": True, "sale_fixed": True}),
    "SALE beside a linear layer": ("mmsa_paper", MEANS | {"sale_skip": True}),
    **{name: (name, {} if name == "mmsa_no_wm" else MEANS) for name in ABLATIONS},
    "no world model": ("mmsa_paper", {"use_world_model": False}),
}


def snapshot(modules):
    return {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in modules.items()}


def same(first, second):
    return all(th.equal(value, second[name][key]) for name in first for key, value in first[name].items())


def assert_finite(figures):
    assert {name: value for name, value in figures.items() if not math.isfinite(value)} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_equals_its_slow_form_in_value_and_gradient(kind):
    config, settings = KINDS[kind]
    learner, batch = drifted(make_learner(config, **settings)), make_batch()
    slow, (fast, _) = slow_losses(learner, batch), learner.losses(EpisodeRows(batch))
    th.testing.assert_close(fast, slow, rtol=1e-4, atol=0)
    for name in slow:
        grads = [
            th.autograd.grad(form[name], learner.parameters, retain_graph=True, materialize_grads=True)
            for form in (fast, slow)
        ]
        th.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("config", ["qmix", "mmsa"])
def test_the_mixers_start_is_measured_on_the_first_batch_once(config):
    measured = {"initial_slope": 0.5, "initial_slope_above": 0, "initial_value": 0.3}
    learner, batch = make_learner(config, **measured, lr=1e-9), make_batch()
    learner.train(batch, 1, 1)
    rows, seen = EpisodeRows(batch), []
    learner.mixer.mixing.register_forward_pre_hook(lambda _, given: seen.append(given))
    learner.losses(rows)
    qs, condition = th.zeros_like(seen[0][0], requires_grad=True), seen[0][1].detach()
    mixed = learner.mixer.mixing(qs, condition)
    (slope,) = th.autograd.grad((rows.weights() * mixed).sum(), qs)
    assert slope.sum().item() / qs.shape[-1] == pytest.approx(0.5, rel=0.05)  # MMSA draws
    assert (rows.weights() @ mixed).item() == pytest.approx(0.3, abs=0.05)
    th.testing.assert_close(learner.target_mixer.state_dict(), learner.mixer.state_dict(), rtol=0, atol=1e-6)
    before = learner.mixer.mixing.value[-1].bias.item()
    learner.train(make_batch(seed=1), 1, 1)
    assert learner.mixer.mixing.value[-1].bias.item() == pytest.approx(before, abs=1e-6)


def drawn_slope(config):
    learner = make_learner(config, lr=1e-9)
    learner.train(make_batch(), 1, 1)
    return learner.logger.latest["drawn_slope"]


@pytest.mark.parametrize("config", ["qmix", "mmsa", "mbvd", "maser", "smmae", "cia", "cw_qmix"])
def test_a_start_is_made_less_steep_where_it_is_too_steep_and_else_is_as_drawn(config):
    drawn = make_learner(config, initial_slope="null", lr=1e-9)
    drawn.train(make_batch(), 1, 1)
    after = th.get_rng_state()
    slope = drawn_slope(config)
    flat = make_learner(config, initial_slope=slope / 2, initial_slope_above=slope * 1.01, lr=1e-9)
    flat.train(make_batch(), 1, 1)
    assert th.equal(after, th.get_rng_state()) and flat.mixer_started
    th.testing.assert_close(flat.mixer.state_dict(), drawn.mixer.state_dict(), rtol=0, atol=0)
    steep = make_learner(config, initial_slope=slope / 2, initial_slope_above=slope * 0.99, lr=1e-9)
    steep.train(make_batch(), 1, 1)
    ratio = steep.mixer.mixing.hyper_w_2[-1].weight / drawn.mixer.mixing.hyper_w_2[-1].weight
    th.testing.assert_close(ratio, th.full_like(ratio, 0.5), rtol=1e-4, atol=0)
    th.testing.assert_close(steep.mixer.state_dict(), steep.target_mixer.state_dict(), rtol=0, atol=1e-6)


def test_who_goes_on_has_the_mixers_start_behind_him():
    fresh, begun, later = (make_learner("qmix", initial_slope=0.5) for _ in range(3))
    begun.train(make_batch(), 1, 1)
    later.load_state(begun.state_tensors(), begun.state_numbers())
    assert not fresh.mixer_started and later.mixer_started
    later.load_state(fresh.state_tensors(), fresh.state_numbers())
    assert not later.mixer_started  # stopped before the first update
    later.note_taken(["agent.fc2"])
    assert not later.mixer_started
    later.note_taken(["mixer.mixing.value.0"])
    assert later.mixer_started
    assert make_learner("qmix", initial_slope="null").mixer_started
    assert make_learner("vdn", initial_slope=0.5).mixer_started


def test_a_large_teams_vae_2_is_each_agents_own():
    for settings, own in (({"wm_own_from": 3}, True), ({"wm_own_from": 4}, False), ({"wm_own_from": "null"}, False)):
        assert make_learner("mmsa", **settings).world_model.per_agent == own


@pytest.mark.parametrize("horizon", [0, 3])
def test_without_world_model_it_is_qmix_with_a_sale_agent(horizon):
    mmsa = make_learner("mmsa", use_world_model=False, rollout_horizon=horizon, target_update_interval=20)
    qmix = make_learner("mmsa", learner="q_learner", mixer="qmix", mac="basic_mac", target_update_interval=20)
    assert type(mmsa) is not type(qmix) and type(mmsa.mixer) is not type(qmix.mixer)
    assert same(snapshot(mmsa.trained), snapshot(qmix.trained))
    assert losses_of(mmsa, make_batch()) == losses_of(qmix, make_batch())
    for step in range(5):
        for learner in (mmsa, qmix):
            learner.train(make_batch(seed=step), t_env=step, episode_num=8 * step)
    assert same(snapshot(mmsa.trained), snapshot(qmix.trained))
    assert same(snapshot(mmsa.targets), snapshot(qmix.targets))


@pytest.mark.parametrize("whose", ["target", "online"])
def test_in_imagination_agents_choose_the_best_action_available_at_the_starting_point(whose, monkeypatch):
    learner, batch = drifted(make_learner("mmsa", rollout_hidden=whose)), make_batch()
    model, taken = learner.world_model, []
    step = model.step
    monkeypatch.setattr(model, "step", lambda s, actions, draw: taken.append(actions) or step(s, actions, draw))
    rows = EpisodeRows(batch)
    inputs, avail = learner.mac.build_inputs(rows), rows["avail_actions"]
    actor = learner.target_agent if whose == "target" else learner.agent
    h = actor.encode(inputs, rows.sizes)
    learner.losses(rows)
    assert len(taken) == learner.args.rollout_horizon == 3
    for actions in taken:
        assert avail.gather(-1, actions[..., None]).all()
    first = actor.q_from_hidden(h).masked_fill(~avail, -1e9).argmax(dim=-1)
    assert th.equal(taken[0], first)


@pytest.mark.parametrize("config", ["mmsa", "mmsa_paper", "mmsa_td7"])
def test_training_moves_every_parameter_and_logs_finite_figures(config):
    learner = make_learner(config)
    before = snapshot(learner.trained)
    for step in range(4):
        learner.train(make_batch(seed=step), t_env=100_000 * step, episode_num=8 * step)
    after = snapshot(learner.trained)
    still = [
        f"{name}.{key}" for name in before for key in before[name] if th.equal(before[name][key], after[name][key])
    ]
    assert still == []
    assert learner.updates == 4
    figures = learner.logger.latest
    assert_finite(figures)
    common = {"drawn_slope", "loss_td", "grad_norm", "q_taken_mean", "target_mean", "td_error_abs"}
    model = {"loss_kl", "loss_rec", "loss_sale", "kl_prior_normal", "kl_posterior_prior"}
    parts = {"rec_z_sa", "rec_z_s", "rec_phi", "rec_h"}
    own = {"loss_sale_agent"} if config == "mmsa_td7" else set()
    looked_up = learner.diagnose(make_batch()).keys()
    norms = {name for name in figures if name.startswith("grad_norm_")}
    assert figures.keys() == common | model | parts | own | looked_up | norms


def test_figures_are_logged_when_it_is_time():
    learner, logged = make_learner("mmsa", learner_log_interval=100), []
    learner.logger.sinks.append(lambda name, value, t_env: logged.append((name, t_env)))
    for t_env in (0, 99, 100, 150, 230):
        learner.train(make_batch(), t_env, episode_num=0)
    assert [t_env for name, t_env in logged if name == "loss_td"] == [0, 100, 230]


def test_the_gradient_is_that_of_the_sum_of_all_losses_clipped_as_a_whole():
    learner, batch = make_learner("mmsa_paper", **MEANS, grad_norm_clip=0.5), make_batch()
    for module in learner.trained.values():
        module.train()
    whole = th.autograd.grad(sum(learner.losses(EpisodeRows(batch))[0].values()), learner.parameters)
    norm = th.cat([g.flatten() for g in whole]).norm()
    assert norm > 0.5
    learner.train(batch, t_env=0, episode_num=0)
    assert learner.logger.latest["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    for parameter, gradient in zip(learner.parameters, whole, strict=True):
        th.testing.assert_close(parameter.grad, gradient * 0.5 / norm, rtol=1e-3, atol=1e-7)


def test_networks_are_in_training_mode_for_an_update_only():
    learner, seen = make_learner("mmsa"), []
    losses = learner.losses
    everything = [*learner.trained.values(), *learner.targets.values()]
    learner.losses = lambda rows: seen.append([m.training for m in everything]) or losses(rows)
    assert not any(module.training for module in everything)
    learner.train(make_batch(), t_env=0, episode_num=0)
    assert seen.pop(0) == [False] * len(everything)  # the mixer's start is measured
    assert seen == [[True] * len(learner.trained) + [False] * len(learner.targets)]
    assert not any(module.training for module in everything)


@pytest.mark.parametrize("config", ["mmsa", "qmix", "iql"])
def test_targets_are_copied_every_interval_and_only_then(config):
    learner = make_learner(config)
    interval = learner.args.target_update_interval
    copies = [name for name in ("agent", "mixer") if name in learner.trained]
    assert learner.targets.keys() == set(copies)
    assert same(snapshot(learner.targets), snapshot(learner.trained))
    for end in (interval, 2 * interval):
        before = snapshot(learner.targets)
        for episode in (end - interval + 8, end - 1):
            learner.train(make_batch(), t_env=episode, episode_num=episode)
            assert same(snapshot(learner.targets), before)
            assert not same(before, snapshot(learner.trained))
        learner.train(make_batch(), t_env=end, episode_num=end)
        assert same(snapshot(learner.targets), snapshot(learner.trained))


@pytest.mark.parametrize("config", ["mmsa", "qmix", "iql"])
def test_targets_go_a_share_of_their_way_after_every_update_with_tau(config):
    learner = make_learner(config, target_update_tau=0.25)
    for episode in (0, 8, learner.args.target_update_interval, 2 * learner.args.target_update_interval):
        before = {name: parameter.clone() for name, parameter in targets_of(learner)}
        learner.train(make_batch(seed=episode), t_env=episode, episode_num=episode)
        networks = dict(learner._named_parameters())
        for name, parameter in targets_of(learner):
            wanted = 0.75 * before[name] + 0.25 * networks[name].detach()
            assert th.allclose(parameter, wanted, atol=1e-7), name
    assert "greedy_changed" in learner.logger.history


def targets_of(learner):
    return [
        (f"{name}.{key}", parameter)
        for name, target in learner.targets.items()
        for key, parameter in target.named_parameters()
    ]


def test_every_so_many_updates_the_model_learns_and_between_them_imagines_alone():
    each, second = (make_learner("mmsa", wm_interval=interval, **MEANS) for interval in (1, 2))
    first_batch, batch = make_batch(seed=1), make_batch(seed=2)
    for learner in (each, second):
        learner.train(first_batch, t_env=1, episode_num=1)
    assert same(snapshot(each.trained), snapshot(second.trained))
    full, alone = (losses_of(learner, batch) for learner in (each, second))
    assert {"loss_kl", "loss_rec", "loss_sale", "loss_td"} <= full.keys()
    assert alone == {"loss_td": full["loss_td"]}  # the same rollouts, and so the same values
    before = snapshot(second.trained)["world_model"]
    second.train(batch, t_env=2, episode_num=2)
    after = snapshot(second.trained)["world_model"]
    moved = {name.partition(".")[0] for name in before if not th.equal(before[name], after[name])}
    assert moved == {"posterior_encoder", "prior_encoder", "phi"}  # L_TD's, see docs/mmsa.md
    assert losses_of(second, batch).keys() == full.keys()  # the third learns again


def test_values_read_encoders_one_period_old_and_target_values_those_before():
    learner = make_learner("mmsa_td7", sale_fixed=True, target_update_interval=10)
    agent, target = learner.agent, learner.target_agent
    first = snapshot({"sale": agent.sale})
    for episode in (1, 2, 10):  # the last one moves them
        h = th.randn(4, 3, learner.mac.hidden_size)
        assert th.equal(agent.value_sale.f(h), target.value_sale.f(h)) and agent.value_sale is agent.fixed_sale
        assert same(first, snapshot({"sale": agent.fixed_sale}))
        learner.train(make_batch(seed=episode), t_env=episode, episode_num=episode)
    second = snapshot({"sale": agent.sale})
    assert not same(first, second)
    assert same(second, snapshot({"sale": agent.fixed_sale})) and same(first, snapshot({"sale": target.fixed_sale}))
    learner.train(make_batch(), t_env=20, episode_num=20)
    assert same(second, snapshot({"sale": target.fixed_sale}))
    assert same(snapshot({"sale": agent.sale}), snapshot({"sale": agent.fixed_sale}))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sale_fixed": True}, "nothing else would train f and g"),
        ({"sale_fixed": True, "agent_sale_loss": True, "target_update_tau": 0.01}, "take target_update_tau=null"),
        ({"agent": "rnn", "agent_sale_loss": True}, "need agent=sale_rnn"),
        ({"wm_interval": 2, "cuda_graph": True}, "records one: take False"),
    ],
)
def test_switches_that_do_not_go_together_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        make_learner("mmsa", **settings)


@pytest.mark.parametrize("config", ["mmsa", "qmix"])
def test_weight_decay_takes_a_share_of_every_parameter_off_whatever_its_gradient(config):
    settings = {"initial_slope": "null", "lr": 0.01} | (MEANS if config == "mmsa" else {})
    batch, learners = make_batch(), []
    for decay in (0, 0.5):
        th.manual_seed(1)
        learners.append(make_learner(config, weight_decay=decay, **settings))
    without, decaying = learners
    before = [p.detach().clone() for p in decaying.parameters]
    for learner in learners:
        learner.train(batch, 1, 1)
    for start, one, other in zip(before, without.parameters, decaying.parameters, strict=True):
        th.testing.assert_close(other, one - 0.01 * 0.5 * start)
    assert type(without.optimiser) is type(decaying.optimiser)


@pytest.mark.parametrize("config", ["mmsa", "mmsa_paper", "qmix"])
def test_one_batch_again_and_again_is_learnt(config):
    settings = MEANS | {"kl_coef": 0} if config.startswith("mmsa") else {}
    learner, batch = make_learner(config, lr=0.01, **settings), make_batch()
    before = losses_of(learner, batch)
    for step in range(150):
        learner.train(batch, t_env=step, episode_num=0)
    after = losses_of(learner, batch)
    assert after["loss_td"] < 0.2 * before["loss_td"]
    if "loss_rec" in before:
        assert after["loss_rec"] < 0.2 * before["loss_rec"]


@pytest.mark.parametrize("horizon", [0, 1, 2, 3, 10])
def test_the_shipped_settings_run_at_any_horizon(horizon):
    learner = make_learner("mmsa", small=False, rollout_horizon=horizon)
    losses = losses_of(learner, make_batch())
    assert losses.keys() == {"loss_td", "loss_kl", "loss_rec", "loss_sale"}
    assert_finite(losses)


def switches():
    """Return every value of every choice and flag that algs/mmsa.yaml declares."""
    declared = declared_settings("mmsa", "matrix_game", CONFIG_DIR).values()
    ours = [setting for setting in declared if setting.file.endswith("mmsa.yaml")]
    flags = [(s.key, value) for s in ours if s.kind == "bool" for value in ("true", "false")]
    return flags + [(s.key, value) for s in ours for value in s.choices]


@pytest.mark.parametrize(("config", "length"), [("mmsa", 1), ("mmsa", 6), ("mmsa_paper", 6)])
@pytest.mark.parametrize(("key", "value"), switches())
def test_every_switch_trains_on_episodes_of_any_length(key, value, length, config):
    needs = {"sale_fixed": {"agent_sale_loss": True}, "wm_sale": {"rollout_mode": "latent"}}
    needs["wm_prior"] = needs["wm_sale"]
    learner = make_learner(config, **(needs.get(key, {}) | {key: value}))
    batch = make_batch([(length, "terminated"), (1, "truncated")])
    for step in range(2):
        learner.train(batch, t_env=100_000 * step, episode_num=0)
        assert_finite(learner.logger.latest)
    assert_finite({str(i): p.detach().abs().max().item() for i, p in enumerate(learner.parameters)})


def test_the_switches_are_all_there():
    assert len(switches()) >= 25
    assert {"sale_input", "rollout_mode", "rollout_agg", "rec_target", "wm_hidden"} <= {k for k, _ in switches()}


def test_imagined_histories_are_a_loss_of_their_own_that_nobody_asks_for_unless_told():
    without, asked = (losses_of(make_learner("mmsa", imagined_history_coef=coef), make_batch()) for coef in (0, 1))
    assert without.items() < asked.items() and asked.keys() - without.keys() == {"loss_imagined_history"}
