"""Forward passes in bfloat16 (`autocast`): near what float32 gives, and nothing but forward passes."""

import pytest
import torch as th
from fixtures_mmsa import make_batch, make_learner
from tiny_runs import DREAMS, assert_refused, play
from torch.nn import functional

import main
from components.episode_rows import EpisodeRows
from learners.losses import avail_loss, squared_error
from modules.gru import unroll
from modules.linear import linear
from modules.precision import bfloat16, casts, float32, widened

CPU = th.device("cpu")
MEANS = {"wm_sample": False, "rollout_sample": False}
HONOURING = [("iql", {}), ("vdn", {}), ("qmix", {}), ("hpn_qmix", {}), ("mmsa", MEANS), ("mmsa_td7", MEANS)]
NEAR = 0.02  # of a loss, of a gradient's length: bfloat16 rounds by up to 0.004


@pytest.mark.parametrize("agents", [(), (3,)], ids=["shared", "own"])
def test_a_layer_is_pytorchs_own_under_its_autocast(agents):
    th.manual_seed(0)
    x, weight, bias = th.randn(50, *agents, 7), th.randn(*agents, 5, 7), th.randn(*agents, 5)
    inputs = [each.requires_grad_() for each in (x, weight, bias)]
    with bfloat16(CPU):
        ours = linear(*inputs)
    with th.autocast("cpu", dtype=th.bfloat16):
        if agents:
            each = [functional.linear(x[:, i], weight[i], bias[i]) for i in range(3)]
            plain = th.stack(each, dim=1)
        else:
            plain = functional.linear(*inputs)
    assert ours.dtype == plain.dtype == th.bfloat16
    th.testing.assert_close(ours, plain)
    grad = th.randn_like(plain)
    found, expected = (th.autograd.grad(out, inputs, grad) for out in (ours, plain))
    assert all(gradient.dtype == th.float32 for gradient in found)
    th.testing.assert_close(found, expected, rtol=NEAR, atol=NEAR)


def test_histories_are_unrolled_in_float32():
    gru, x = th.nn.GRU(4, 6), th.randn(9, 4).bfloat16()
    with bfloat16(CPU):
        h = unroll(gru, x, [4, 3, 2])
    assert h.dtype == th.float32 and th.equal(h, unroll(gru, x.float(), [4, 3, 2]))


def test_errors_are_squared_and_added_up_in_float32():
    a, b, weights = th.randn(40, 7).bfloat16(), th.randn(40, 7).bfloat16(), th.full((40,), 1 / 40)
    assert th.equal(squared_error(a, b, weights), squared_error(a.float(), b.float(), weights))
    logits, avail = th.randn(40, 2, 3).bfloat16(), th.rand(40, 2, 3) < 0.5
    assert th.equal(avail_loss(logits, avail, weights)[0], avail_loss(logits.float(), avail, weights)[0])


def test_numbers_of_float64_are_not_rounded():
    a, b = th.randn(40, 7, dtype=th.float64), th.randn(40, 7, dtype=th.float64)
    assert widened(a) is a and squared_error(a, b, th.full((40,), 1 / 40)).dtype == th.float64


def test_float32_is_a_part_within_and_ends_with_it():
    with bfloat16(CPU):
        with float32(CPU):
            assert not casts() and (th.ones(2, 2) @ th.ones(2, 2)).dtype == th.float32
        assert casts() and (th.ones(2, 2) @ th.ones(2, 2)).dtype == th.bfloat16
    assert not casts() and (th.ones(2, 2) @ th.ones(2, 2)).dtype == th.float32


def loss_and_gradient(learner, batch):
    """Return the losses of one update, and its gradient as one vector."""
    th.manual_seed(5)
    for parameter in learner.parameters:
        parameter.grad = None
    losses, _ = learner.backward(batch)
    return losses, th.cat([p.grad.flatten() for p in learner.parameters if p.grad is not None])


@pytest.mark.parametrize(("config", "settings"), HONOURING)
def test_losses_and_gradients_are_near_those_of_float32(config, settings):
    batch = make_batch(seed=3)
    plain, cast = (make_learner(config, **settings, autocast=kind) for kind in ("none", "bfloat16"))
    (expected, gradient), (found, rounded) = (loss_and_gradient(learner, batch) for learner in (plain, cast))
    assert found.keys() == expected.keys()
    for name, loss in found.items():
        assert loss.dtype == th.float32, name
        assert loss.item() == pytest.approx(expected[name].item(), rel=NEAR, abs=1e-4), name
    assert rounded.dtype == th.float32 and not th.equal(rounded, gradient)
    assert (rounded - gradient).norm() < NEAR * gradient.norm()


@pytest.mark.parametrize(("config", "settings"), HONOURING)
def test_what_is_kept_and_compared_is_float32(config, settings, monkeypatch):
    learner, batch = make_learner(config, **settings, autocast="bfloat16", learner_log_interval=1), make_batch(seed=3)
    seen, targets_of, score = [], learner.targets_of, learner.agent.score

    def noted(rows, next_values, rewards=None):
        seen.append(next_values)
        return targets_of(rows, next_values, rewards)

    def scored(*given):
        seen.extend(values := score(*given))
        return values

    monkeypatch.setattr(learner, "targets_of", noted)
    monkeypatch.setattr(learner.agent, "score", scored)
    for number in range(3):
        learner.train(batch, t_env=number, episode_num=100 * number)
    assert len(seen) >= 9 and all(values.dtype == th.float32 for values in seen)
    # Nor were they rounded on the way: with values in bfloat16 two seeds of three did not learn SMAX's 3m.
    assert not any(th.equal(values, values.bfloat16().float()) for values in seen)
    assert {tensor.dtype for tensor in learner.state_tensors().values()} == {th.float32}
    assert not casts()


@pytest.mark.parametrize("config", ["qmix", "mmsa"])
def test_a_mixer_mixes_in_float32(config):
    learner, batch = make_learner(config), make_batch(seed=3)
    rows, qs = EpisodeRows(batch), th.randn(len(EpisodeRows(batch)["state"]), 3)
    args = learner.args
    rollout = th.randn(len(qs), args.rollout_horizon + 1, 3 * args.latent_dim) if config == "mmsa" else None
    expected = learner._mix(learner.mixer, qs, rows["state"], rollout)
    with bfloat16(CPU):
        assert th.equal(learner._mix(learner.mixer, qs, rows["state"], rollout), expected)


def test_a_share_of_a_batch_is_cast_as_the_whole_is():
    learner, batch = make_learner("qmix", autocast="bfloat16"), make_batch(seed=3)
    whole, gradient = loss_and_gradient(learner, batch)
    totals = [int(EpisodeRows(batch).mask[sum(EpisodeRows(batch).sizes[:after]) :].sum()) for after in range(3)]
    for parameter in learner.parameters:
        parameter.grad = None
    shares = [learner.backward(part, totals)[0]["loss_td"] for part in batch.parts(2)]
    assert sum(shares).item() == pytest.approx(whole["loss_td"].item(), rel=1e-3)
    together = th.cat([p.grad.flatten() for p in learner.parameters if p.grad is not None])
    assert (together - gradient).norm() < NEAR * gradient.norm()


@pytest.mark.parametrize(("config", "more"), [("qplex", {}), ("mappo", {}), ("coma", {}), ("dreamer", DREAMS)])
def test_methods_that_it_is_not_made_for_refuse(config, more, tmp_path, capsys):
    words = [f"--config={config}", "--env-config=lbf", "with", "autocast=bfloat16", "t_max=100"]
    words += [f"{key}={value}" for key, value in more.items()]
    assert_refused(lambda *argv: main.main(list(argv)), tmp_path, words, "take autocast=none", capsys)


def test_a_run_acts_in_float32_and_repeats_itself(tmp_path):
    one, other = (play("qmix", "lbf", tmp_path / name, autocast="bfloat16") for name in ("one", "other"))
    assert (one / "eval_episodes.csv").read_text() == (other / "eval_episodes.csv").read_text()
    assert (one / "config.json").read_text().count('"autocast": "bfloat16"') == 1
