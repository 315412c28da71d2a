"""What is logged of the world model and the embeddings, against slow forms and known cases."""

import math

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import ONLINE, drifted, make_batch, make_learner, padded, with_garbage

from components.episode_rows import EpisodeRows
from learners.diagnostics import active_units, effective_rank, gaussian_like, moved_share, spread
from learners.mmsa_diagnostics import encode, foresee
from modules.world_model import Imagined

AGENTS = {"spread_z_o", "spread_z_oa", "rank_z_o", "rank_z_oa"}
MODEL = {"spread_z_s", "spread_z_sa", "rank_z_s", "rank_z_sa", "wm_active_units", "greedy_action_match"}
USE = {"rollout_use_zeros", "rollout_use_noise", "rollout_use_other"}


def by_horizon(J):
    errors = {f"wm_{x}_error_{p}" for x in ("latent", "hidden") for p in ("model", "keep", "mean")}
    return {f"{name}_{j}" for name in errors | {"imagined_action_match"} for j in range(1, J + 1)}


def figures_of(batch=None, config="mmsa", **settings):
    learner = drifted(make_learner(config, **settings))
    return {k: v.item() for k, v in learner.diagnose(make_batch() if batch is None else batch).items()}


@pytest.mark.parametrize(
    ("config", "settings", "expected"),
    [
        ("mmsa", {}, AGENTS | MODEL | USE | by_horizon(3)),
        ("mmsa_paper", {"rollout_horizon": 1}, AGENTS | MODEL | USE | by_horizon(1)),
        ("mmsa", {"rollout_horizon": 0}, AGENTS | MODEL | USE),
        ("mmsa", {"agent": "rnn"}, MODEL | USE | by_horizon(3)),
        ("mmsa", {"use_world_model": False}, AGENTS),
        ("mmsa", {"sale_input": "obs"} | ONLINE, AGENTS | MODEL | USE | by_horizon(3)),
        ("qmix", {}, set()),
    ],
)
def test_every_method_logs_what_it_has(config, settings, expected):
    figures = figures_of(config=config, **settings)
    assert figures.keys() == expected
    assert all(math.isfinite(value) for value in figures.values())


def slow_errors(learner, batch, j):
    """Return the mean errors (latent, hidden) of model, keep and mean j steps ahead, and the matching actions."""
    model, rows, actor = learner.world_model, [], learner.dreamer
    for b in range(batch.batch_size):
        length = int(batch["filled"][b].sum()) - 1
        episode = batch[b : b + 1, : length + 1]
        packed = EpisodeRows(episode)
        h = actor.encode(learner.mac.build_inputs(packed), packed.sizes)
        rows.append((h, model.posterior(h).mean, episode["actions"][0, ..., 0], episode["avail_actions"][0]))
    mean_h, mean_s = (th.cat([row[i] for row in rows]).mean(dim=0) for i in (0, 1))
    latent, hidden, matches = [], [], []
    for h, s, actions, avail in rows:
        for t in range(len(h) - j):
            now = s[t]
            for k in range(j):
                imagined = model.step(now, actions[t + k], draw=False)
                now = imagined.s
            imagined_h = model.decode_hidden(imagined.told)
            latent.append([((x - s[t + j]) ** 2).mean() for x in (now, s[t], mean_s)])
            hidden.append([((x - h[t + j]) ** 2).mean() for x in (imagined_h, h[t], mean_h)])
            if t + j < len(h) - 1:
                best = actor.q_imagined(imagined_h).masked_fill(~avail[t], -1e9).argmax(dim=-1)
                matches += (best == actions[t + j]).tolist()
    return th.tensor(latent).mean(dim=0), th.tensor(hidden).mean(dim=0), np.mean(matches)


@pytest.mark.parametrize(("config", "whose"), [("mmsa", "target"), ("mmsa", "online"), ("mmsa_paper", "online")])
def test_errors_against_the_horizon_equal_their_slow_form(config, whose):
    learner, batch = drifted(make_learner(config, rollout_hidden=whose)), make_batch()
    figures = learner.diagnose(batch)
    with th.no_grad():
        for j in (1, 2, 3):
            latent, hidden, match = slow_errors(learner, batch, j)
            for what, expected in (("latent", latent), ("hidden", hidden)):
                found = [figures[f"wm_{what}_error_{p}_{j}"].item() for p in ("model", "keep", "mean")]
                assert found == pytest.approx(expected.tolist(), rel=1e-4)
            assert figures[f"imagined_action_match_{j}"].item() == pytest.approx(match)


def test_a_perfect_model_makes_no_error_and_acts_as_the_agent_does(monkeypatch):
    """A model whose latent is the history itself, and that knows every history to come."""
    learner, batch = make_learner("mmsa"), make_batch()
    rows = EpisodeRows(batch)
    with th.no_grad():
        encoded = encode(learner, rows)
        s, calls = encoded.model_h.flatten(1), []

        def know(now, actions, draw):
            calls.append(len(now))
            future = s
            for j in range(len(calls)):
                future = rows.then(future, after=j)
            return Imagined(future, future)

        monkeypatch.setattr(learner.world_model, "step", know)
        monkeypatch.setattr(learner.world_model, "decode_hidden", lambda x: x.unflatten(-1, encoded.h.shape[1:]))
        foresight = foresee(learner, rows, encoded, s, 3)
    for errors in (*foresight.latent, *foresight.hidden):
        assert not errors.model.any() and errors.keep.any() and errors.mean.any()
    assert calls == [len(rows.pair_mask), *(sum(rows.sizes[j:]) for j in (2, 3))]


def test_padding_and_rubbish_in_it_count_for_nothing():
    batch = make_batch()
    expected = figures_of(batch)
    assert figures_of(padded(with_garbage(batch), rows=2, episodes=1)) == pytest.approx(expected, rel=1e-5)


def test_looking_changes_nothing_and_draws_nothing():
    learner, batch = make_learner("mmsa_paper"), make_batch()
    before, state = {k: v.clone() for k, v in learner.state_tensors().items()}, th.get_rng_state()
    learner.diagnose(batch)
    assert all(th.equal(value, before[name]) for name, value in learner.state_tensors().items())
    assert th.equal(th.get_rng_state(), state)


def test_how_often_one_looks_does_not_change_what_is_learnt():
    often, seldom = (make_learner("mmsa_paper", learner_log_interval=n) for n in (1, 10**6))
    for step in range(4):
        for learner in (often, seldom):
            th.manual_seed(step)
            learner.train(make_batch(seed=step), t_env=step, episode_num=step)
    assert len(often.logger.latest) > 30
    assert all(th.equal(x, seldom.state_tensors()[name]) for name, x in often.state_tensors().items())


def test_the_effective_rank_counts_directions():
    th.manual_seed(0)
    flat = th.randn(4000, 3) @ th.linalg.qr(th.randn(8, 8))[0][:3]  # three equal directions in eight dimensions
    assert effective_rank(flat + 5).item() == pytest.approx(3, abs=0.05)
    assert effective_rank(th.randn(4000, 8)).item() == pytest.approx(8, abs=0.05)
    assert effective_rank(th.randn(4000, 1) * th.ones(8)).item() == pytest.approx(1, abs=0.01)
    assert effective_rank(th.ones(50, 8)).item() == 0
    assert effective_rank(th.full((50, 8), math.nan)).isnan()


def test_spread_and_active_units_tell_what_varies():
    z = th.zeros(1000, 4)
    assert spread(z).item() == 0 and active_units(z).item() == 0
    z[:, 0] = th.linspace(-1, 1, 1000)
    z[:, 1] = 0.1 * z[:, 0]  # variance 0.0033
    assert active_units(z).item() == 1
    assert spread(z).item() == pytest.approx((1 + 0.1) / 4 / math.sqrt(3), rel=1e-2)


def test_the_moved_share_is_in_standard_deviations_of_q_tot():
    q = th.tensor([0.0, 2.0, 0.0, 2.0])
    assert moved_share(q, q).item() == 0
    assert moved_share(q, q + 0.5).item() == pytest.approx(0.5)


def test_a_mixer_that_ignores_the_rollout_shows_zero_use():
    learner = drifted(make_learner("mmsa"))
    assert all(value > 0 for name, value in figures_of().items() if name in USE)
    with th.no_grad():
        learner.mixer.aggregate.linear.weight.zero_()
    assert {name: learner.diagnose(make_batch())[name].item() for name in USE} == dict.fromkeys(USE, 0)


def test_noise_looks_like_what_it_replaces_and_is_always_the_same():
    x = th.randn(3000, 4, 2) * th.tensor([1.0, 5.0]) + 3
    noise = gaussian_like(x)
    th.testing.assert_close(noise.mean(dim=0), x.mean(dim=0), atol=0.4, rtol=0)
    th.testing.assert_close(noise.std(dim=0), x.std(dim=0), atol=0.3, rtol=0)
    assert th.equal(noise, gaussian_like(x)) and not th.equal(noise, x)


@pytest.mark.parametrize("clip", [1e-3, 1e6])
def test_gradient_norms_per_part_add_up_to_the_whole_before_clipping(clip):
    learner = make_learner("mmsa", grad_norm_clip=clip)
    learner.train(make_batch(), t_env=0, episode_num=0)
    figures = learner.logger.latest
    parts = {name: value for name, value in figures.items() if name.startswith("grad_norm_")}
    assert math.sqrt(sum(value**2 for value in parts.values())) == pytest.approx(figures["grad_norm"], rel=1e-5)
    assert {"grad_norm_agent.encoder", "grad_norm_mixer.aggregate", "grad_norm_world_model.sale"} <= parts.keys()

    fresh = make_learner("mmsa")
    sum(fresh.losses(EpisodeRows(make_batch()))[0].values()).backward()
    head = th.cat([p.grad.flatten() for p in fresh.agent.head.parameters()]).norm().item()
    assert parts["grad_norm_agent.head"] == pytest.approx(head, rel=1e-4)
