"""Mixers: monotone in every agent's value, conditioned on what they should be, aggregation against slow forms."""

import pytest
import torch as th
from fixtures_mmsa import SMALL_MMSA, N, S, make_args, shaken

from modules.mixers import REGISTRY
from modules.mixers.rollout_qmix import RolloutAggregator

D = N * SMALL_MMSA["latent_dim"]
AGGREGATORS = ["gru_reverse", "gru", "concat", "mean"]
MIXERS = [("qmix", {}), ("rollout_qmix", {"use_world_model": False})] + [
    ("rollout_qmix", {"rollout_agg": kind, "rollout_horizon": J}) for kind in AGGREGATORS for J in (0, 3)
]


def build(name, settings, seed=0):
    args = make_args("mmsa", **settings)
    th.manual_seed(seed)
    return shaken(REGISTRY[name](args)), args


def inputs(args, *lead):
    """Return agents' values, states and, where there is a rollout, latents."""
    rollout = [th.randn(*lead, args.rollout_horizon + 1, D)] if args.use_world_model else []
    return [10 * th.randn(*lead, N), 3 * th.randn(*lead, S), *rollout]


@pytest.mark.parametrize(("name", "settings"), MIXERS)
def test_the_team_value_never_falls_when_an_agents_value_rises(name, settings):
    rises = 0
    for seed in range(5):
        mixer, args = build(name, settings, seed)
        qs, states, *rollout = inputs(args, 40, 10)
        if name == "qmix":
            rollout = []
        qs.requires_grad_()
        (slope,) = th.autograd.grad(mixer(qs, states, *rollout).sum(), qs)
        assert (slope >= 0).all()
        rises += (slope > 0).sum(dim=(0, 1))
    assert (rises > 0).all()


def test_mixing_is_two_layers_of_non_negative_hypernet_weights():
    mixer, args = build("qmix", {})
    qs, states = inputs(args, 2)[:2]
    net = mixer.mixing
    for q, s, mixed in zip(qs, states, mixer(qs, states), strict=True):
        w_1, w_2 = net.hyper_w_1(s).abs().reshape(N, -1), net.hyper_w_2(s).abs()
        pre = [sum(q[i] * w_1[i, m] for i in range(N)) + net.hyper_b_1(s)[m] for m in range(len(w_2))]
        hidden = [p if p > 0 else p.exp() - 1 for p in pre]
        slow = sum(h * w for h, w in zip(hidden, w_2, strict=True)) + net.value(s)[0]
        th.testing.assert_close(mixed, slow)


@pytest.mark.parametrize("settings", [settings for name, settings in MIXERS if name == "rollout_qmix"])
def test_hypernetworks_see_the_state_and_then_the_aggregated_rollout(settings):
    mixer, args = build("rollout_qmix", settings)
    qs, states, *rollout = inputs(args, 4, 5)
    condition = states
    if args.use_world_model:
        aggregated = mixer.aggregate(*rollout)
        assert aggregated.shape == (4, 5, S)
        condition = th.cat([states, aggregated], dim=-1)
    else:
        assert mixer.aggregate is None
    mixed = mixer(qs, states, *rollout)
    assert mixed.shape == (4, 5)
    assert th.equal(mixed, mixer.mixing(qs, condition))


def test_a_long_state_goes_through_one_narrow_layer_and_a_short_one_as_it_is():
    for name, world_model in (("qmix", False), ("rollout_qmix", True)):
        long = {"long_state": S - 1, "long_state_dim": 3, "use_world_model": world_model}
        mixer, args = build(name, long)
        qs, states, *rollout = inputs(args, 4, 5)
        seen = states @ mixer.state.layer.weight.T + mixer.state.layer.bias
        assert seen.shape == (4, 5, 3)
        condition = th.cat([seen, mixer.aggregate(*rollout)], dim=-1) if world_model else seen
        th.testing.assert_close(mixer(qs, states, *rollout), mixer.mixing(qs, condition))
        for short in ({"long_state": S}, {"long_state": "null"}):
            assert build(name, long | short)[0].state.layer is None


@pytest.mark.parametrize(("most", "size"), [(3, 3), (S + 1, S), ("null", S)])
@pytest.mark.parametrize("kind", ["concat", "gru"])
def test_the_future_has_as_many_numbers_as_the_state_but_no_more_than_a_setting_says(kind, most, size):
    mixer, args = build("rollout_qmix", {"rollout_agg": kind, "rollout_dim": most, "mixer_state": False})
    _, _, rollout = inputs(args, 4)
    assert mixer.aggregate(rollout).shape == (4, size)
    assert mixer.mixing.hyper_b_1.in_features == size


def slow_aggregate(kind, aggregator, latents):
    """Aggregate one rollout (J+1, D) to (S,)."""
    if kind in ("concat", "mean"):
        read = th.cat(list(latents)) if kind == "concat" else sum(latents) / len(latents)
        return aggregator.linear.weight @ read + aggregator.linear.bias
    cell = th.nn.GRUCell(D, S)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in aggregator.gru.state_dict().items()})
    summary = th.zeros(1, S)
    order = range(len(latents))
    for j in reversed(order) if kind == "gru_reverse" else order:
        summary = cell(latents[j : j + 1], summary)
    return summary[0]


@pytest.mark.parametrize("kind", AGGREGATORS)
@pytest.mark.parametrize("horizon", [0, 1, 3])
def test_each_aggregator_equals_its_slow_form(kind, horizon):
    th.manual_seed(0)
    aggregator = RolloutAggregator(kind, D, horizon, S)
    latents = th.randn(4, 5, horizon + 1, D)
    fast = aggregator(latents)
    for b in range(4):
        for t in range(5):
            th.testing.assert_close(fast[b, t], slow_aggregate(kind, aggregator, latents[b, t]))


def test_vdn_adds_and_iql_has_no_mixer():
    mixer, args = build("vdn", {})
    qs, states = inputs(args, 4, 5)[:2]
    th.testing.assert_close(mixer(qs, states), qs[..., 0] + qs[..., 1] + qs[..., 2])
    assert not list(mixer.parameters())
    assert REGISTRY["none"] is None


@pytest.mark.parametrize("name", ["qmix", "rollout_qmix"])
def test_mixing_starts_at_the_initial_value_and_about_as_steep_as_a_sum(name):
    mixer, qs, states, *rollout = untrained(name)
    condition_size = mixer.mixing.value[0].in_features
    wanted = th.full((9, 1), make_args("mmsa").initial_value)
    assert th.equal(mixer.mixing.value(100 * th.randn(9, condition_size)), wanted)
    (slope,) = th.autograd.grad(mixer(qs, states, *rollout).sum(), qs)
    assert 0.3 < slope.mean() < 3


@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_a_measured_start_holds_for_states_of_every_scale(scale):
    mixer, qs, states = untrained("qmix")
    states, weights = scale * states, th.rand(200)
    weights[:50] = 0  # padding
    weights /= weights.sum()
    mixer.mixing.start_at(0.7, 0.1, states, weights)
    mixed = mixer(qs, states)
    (slope,) = th.autograd.grad((weights * mixed).sum(), qs)
    assert slope.sum().item() / N == pytest.approx(0.7, rel=1e-4)
    assert (weights @ mixed).item() == pytest.approx(0.1, abs=1e-4)


def untrained(name):
    """Return a fresh mixer of the shipped size, agents' values, states as large as a grid's cells, and a rollout."""
    args = make_args("mmsa", small=False)
    th.manual_seed(0)
    rollout = [th.randn(200, args.rollout_horizon + 1, N * args.latent_dim)] if name == "rollout_qmix" else []
    return REGISTRY[name](args), th.zeros(200, N, requires_grad=True), 3 * th.randn(200, S), *rollout
