"""The world model (MMSA §4.3) without a learner: distributions, embeddings, imagination against a slow loop."""

from copy import deepcopy

import pytest
import torch as th
from fixtures_mmsa import onehots
from torch.nn.functional import elu, softplus

from modules.linear import linear
from modules.world_model import MIN_STD, Gaussian, GaussianEncoder, WorldModel, cheaper_as_one

B, T, N, A, H, L = 4, 5, 3, 5, 8, 2
D = N * L


def build(embed_size=11, **settings):
    th.manual_seed(0)
    given = {"rollout_mode": "latent", "sale": True, "sample": False, "normaliser": "avgl1"}
    given |= {"history_from": "latent", "prior_change": False, "per_agent": False, "sale_grad": False}
    given |= {"normalise_phi": False, "normalise_z_sa": False, "avail": False} | settings
    return WorldModel(n_agents=N, n_actions=A, hidden_size=H, latent_size=L, embed_size=embed_size, width=12, **given)


def some_hidden():
    return th.rand(B, T, N, H) * 2 - 1


def policy(h):
    """Stand in for the agents: which of its first A units is largest."""
    return h[..., :A].argmax(dim=-1)


def both_paths(net, x):
    """A hidden layer and a linear path, written out."""
    hidden = elu(x @ net.first.weight.T + net.first.bias)
    from_hidden, from_x = net.last.weight.split([hidden.shape[-1], x.shape[-1]], dim=1)
    return hidden @ from_hidden.T + x @ from_x.T + net.last.bias


def test_shapes():
    model, h, actions = build(), some_hidden(), th.randint(A, (B, T, N))
    posterior = model.posterior(h)
    assert posterior.mean.shape == posterior.std.shape == (B, T, D)
    embeddings = model.embed(posterior.mean, actions, model.sale(posterior.mean, actions))
    assert [e.shape for e in embeddings.values()] == [(B, T, 11)] * 3
    prior = model.prior(embeddings, posterior.mean)
    assert prior.mean.shape == prior.std.shape == (B, T, D)
    assert [e.shape for e in model.decode_embeddings(prior.mean).values()] == [(B, T, 11)] * 3
    assert model.decode_hidden(prior.mean).shape == (B, T, N, H)
    assert model.imagine(prior.mean, policy(h), policy, 2, draw=True).shape == (B, T, 3, D)


def test_encoders_give_a_mean_and_a_positive_spread():
    encoder, x = GaussianEncoder(4, 12, D), 100 * th.randn(9, 4)
    out = both_paths(encoder, x)
    mean, std = encoder(x)
    th.testing.assert_close(mean, out[:, :D])
    th.testing.assert_close(std, softplus(out[:, D:]) + MIN_STD)
    assert (std >= MIN_STD).all()
    th.testing.assert_close(encoder.finish(linear(x, *encoder.on_input(D))), mean)


def test_the_posterior_reads_the_joint_hidden_state():
    model, h = build(), some_hidden()
    th.testing.assert_close(model.posterior(h).mean, model.posterior_encoder(th.cat(h.unbind(2), dim=-1)).mean)


def test_decoded_hidden_states_are_one_agent_after_another_within_a_grus_range():
    model, s = build(), 100 * th.randn(B, T, D)
    flat = both_paths(model.posterior_decoder[0], s).tanh()
    th.testing.assert_close(model.decode_hidden(s), th.stack(flat.split(H, dim=-1), dim=2))


def test_embeddings_are_sale_of_the_latent_state_and_a_linear_layer():
    model, s, actions = build(), th.randn(B, T, D), th.randint(A, (B, T, N))
    embedded = model.embed(s, actions, model.sale(s, actions))
    assert list(embedded) == ["z_sa", "z_s", "phi"]
    z_sa, z_s, phi = embedded.values()
    th.testing.assert_close(z_s, model.sale.f(s))
    th.testing.assert_close(z_sa, model.sale.g(model.sale.f(s), actions))
    th.testing.assert_close(phi, model.phi.linear(th.cat([s, onehots(actions, A)], dim=-1)))


def test_the_prior_reads_and_its_decoder_gives_zsa_zs_phi_in_this_order():
    model = build()
    embeddings = dict(zip(("z_sa", "z_s", "phi"), th.randn(3, B, T, 11), strict=True))
    s, read = th.randn(B, T, D), th.cat([embeddings["z_sa"], embeddings["z_s"], embeddings["phi"]], dim=-1)
    th.testing.assert_close(model.prior(embeddings, s).mean, model.prior_encoder(read).mean)
    decoded, flat = model.decode_embeddings(s), model.prior_decoder(s)
    th.testing.assert_close(th.cat([decoded["z_sa"], decoded["z_s"], decoded["phi"]], dim=-1), flat)


def test_drawing_takes_the_mean_or_a_sample_that_passes_gradients_on():
    wide = Gaussian(th.full((20000, 1), 3.0).requires_grad_(), th.full((20000, 1), 0.5).requires_grad_())
    assert build(sample=False).draw(wide) is wide.mean
    drawn = build(sample=True).draw(wide)
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.02)
    to_mean, to_std = th.autograd.grad(drawn.sum(), [*wide])
    assert th.equal(to_mean, th.ones_like(to_mean))
    th.testing.assert_close(3.0 + 0.5 * to_std, drawn)


IMAGINATIONS = {
    "latent": {},
    "latent of the embeddings' size": {"embed_size": D},
    "two layers apart, as with a large team": {"embed_size": 2},
    "decoded": {"rollout_mode": "decoded"},
    "without SALE": {"sale": False},
    "histories from embeddings": {"history_from": "embeddings"},
    "histories from φ": {"history_from": "embeddings", "sale": False},
    "gradients through SALE": {"sale_grad": True},
    "normalised": {"normalise_phi": True, "normalise_z_sa": True},
    "the change": {"prior_change": True},
    "the change, without SALE": {"prior_change": True, "sale": False},
    "the change, normalised": {"prior_change": True, "normalise_phi": True, "normalise_z_sa": True},
    "per agent": {"per_agent": True},
    "per agent, from embeddings": {"per_agent": True, "history_from": "embeddings"},
    "the letter": {
        "rollout_mode": "decoded", "history_from": "embeddings", "sale_grad": True, "normalise_phi": True,
        "normalise_z_sa": True,
    },
}  # fmt: skip


def test_two_linear_layers_are_one_where_that_takes_fewer_multiplications():
    wide, narrow = build(), build(embed_size=2)
    for model, as_one in ((wide, True), (narrow, False)):
        phi, out_size = model.phi.linear, 12 + D
        assert cheaper_as_one(phi.in_features, phi.out_features, out_size) == as_one
    assert cheaper_as_one(66, 64, 112) and not cheaper_as_one(2250, 64, 1264)  # 3 agents of LBF; 75 with 14 actions


def slow_embeddings(model, s, actions, settings):
    """Return z^sa, z^s, φ^sa of one latent and one joint action; f and g are constants."""
    phi = model.phi.linear(th.cat([s, th.eye(A)[actions].flatten()]))
    held = model.sale and deepcopy(model.sale).requires_grad_(False)
    z_s = held and held.f(s if settings.get("sale_grad") else s.detach())
    z_sa = held and held.g(z_s, actions)
    if settings.get("normalise_phi"):
        phi, z_sa = phi / phi.abs().mean(), z_sa / z_sa.abs().mean()
    return th.cat([z_sa, z_s, phi] if held else [phi])


def slow_hidden(model, told, settings):
    """Return h' (N, H) by VAE-2's decoder, agent by agent where it is each agent's own."""
    if not settings.get("per_agent"):
        return both_paths(model.posterior_decoder[0], told).tanh().reshape(N, H)
    reads = told.split(L) if model.history_from == "latent" else [th.cat([told, one]) for one in th.eye(N)]
    return th.stack([both_paths(model.posterior_decoder[0], read).tanh() for read in reads])


@pytest.mark.parametrize("case", IMAGINATIONS)
@pytest.mark.parametrize("horizon", [1, 3])
def test_imagination_is_a_slow_loop_over_starting_points_and_steps(case, horizon):
    settings = IMAGINATIONS[case]
    model, h = build(**settings), some_hidden()
    s = model.posterior(h).mean.detach().requires_grad_()
    fast = model.imagine(s, policy(h), policy, horizon, draw=False)
    slow = th.empty_like(fast)
    for b in range(B):
        for t in range(T):
            latents, hidden = [s[b, t]], h[b, t]
            for _ in range(horizon):
                embedded = slow_embeddings(model, latents[-1], policy(hidden), settings)
                latent = both_paths(model.prior_encoder, embedded)[:D]
                latent = latent + latents[-1] if model.prior_change else latent
                outputs = both_paths(model.prior_decoder, latent)
                latents.append(outputs[D : 2 * D] if model.rollout_mode == "decoded" else latent)
                told = outputs if model.history_from == "embeddings" else latents[-1]
                hidden = slow_hidden(model, told, settings)
            slow[b, t] = th.stack(latents)
    th.testing.assert_close(fast, slow)
    inputs = [s, model.phi.linear.weight, *model.prior_encoder.parameters()]
    grads = [th.autograd.grad(latents[..., -1, :].square().sum(), inputs) for latents in (fast, slow)]
    th.testing.assert_close(*grads)


def test_gradients_pass_through_sale_to_the_latent_and_train_neither_f_nor_g():
    for sale_grad in (False, True):
        model, s, actions = build(sale_grad=sale_grad), th.randn(4, D).requires_grad_(), th.randint(A, (4, N))
        embedded = model.embed(s, actions, model.sale(s, actions))
        th.testing.assert_close([embedded["z_s"], embedded["z_sa"]], list(model.sale(s, actions)))
        for name in ("z_s", "z_sa"):
            assert embedded[name].requires_grad == sale_grad
        if sale_grad:
            loss = (embedded["z_s"] + embedded["z_sa"]).square().sum()
            to_s, *to_sale = th.autograd.grad(loss, [s, *model.sale.parameters()], allow_unused=True)
            assert to_s.any() and to_sale == [None] * len(to_sale)


def test_vae_2_of_each_agent_reads_and_gives_its_own_history_alone():
    model, h = build(per_agent=True), some_hidden()
    other = h.clone()
    other[..., 1, :] += 0.1
    moved = (model.posterior(h).mean != model.posterior(other).mean).unflatten(-1, (N, L))
    assert moved[..., 1, :].all() and not moved[..., 0::2, :].any()
    hidden = [model.decode_hidden(model.posterior(x).mean) for x in (h, other)]
    assert (hidden[0] != hidden[1]).any(dim=-1).sum(dim=(0, 1)).tolist() == [0, B * T, 0]
    swapped = model.posterior(h.flip(-2)).mean.unflatten(-1, (N, L)).flip(-2).flatten(-2)
    th.testing.assert_close(swapped, model.posterior(h).mean)


def test_drawn_rollouts_differ_from_each_other_and_lie_around_the_means():
    model, h = build(), some_hidden()
    s = model.posterior(h).mean
    mean, *drawn = (model.imagine(s, policy(h), policy, 1, draw=draw)[..., 1, :] for draw in (False, *[True] * 400))
    assert not th.equal(drawn[0], drawn[1])
    std = model.prior(model.embed(s, policy(h), model.sale(s, policy(h))), s).std
    assert ((th.stack(drawn).mean(dim=0) - mean).abs() < 5 * std / 20).all()


def test_horizon_zero_is_the_posterior_latent_alone():
    s = th.randn(B, T, D)
    assert th.equal(build().imagine(s, None, None, 0, draw=True), s[:, :, None])


def test_the_agents_are_asked_without_gradient_on_every_imagined_hidden_state():
    model, h, asked = build(), some_hidden(), []

    def watched(hidden):
        assert not th.is_grad_enabled()
        asked.append(hidden)
        return policy(hidden)

    rollout = model.imagine(model.posterior(h).mean, policy(h), watched, 3, draw=False)
    assert len(asked) == 2
    for j, hidden in enumerate(asked, start=1):  # of the latents, which are all that VAE-2's decoder is told here
        th.testing.assert_close(hidden, model.decode_hidden(rollout[:, :, j]))
    assert rollout.requires_grad


def test_without_sale_the_prior_reads_phi_alone():
    model, s, actions = build(sale=False), th.randn(B, T, D), th.randint(A, (B, T, N))
    assert not any("sale" in name for name, _ in model.named_parameters())
    embedded = model.embed(s, actions, None)
    assert list(embedded) == list(model.decode_embeddings(s)) == ["phi"]
    th.testing.assert_close(model.prior(embedded, s).mean, model.prior_encoder(embedded["phi"]).mean)
    assert model.decode_embeddings(s)["phi"].shape == (B, T, 11)
    with pytest.raises(ValueError, match="without SALE there is none"):
        build(D, sale=False, rollout_mode="decoded")


def test_a_prior_of_the_change_foresees_none_before_it_is_trained_to():
    model, s, actions = build(prior_change=True), th.randn(B, T, D), th.randint(A, (B, T, N))
    for parameter in model.prior_encoder.last.parameters():
        parameter.data.zero_()
    rollout = model.imagine(s, actions, policy, 3, draw=False)
    assert all(th.equal(rollout[:, :, j], s) for j in range(4))
    drawn = th.stack([model.imagine(s, actions, policy, 1, draw=True)[..., 1, :] for _ in range(400)])
    assert ((drawn.mean(dim=0) - s).abs() < 5 * (softplus(th.zeros(())) + MIN_STD) / 20).all()
    with pytest.raises(ValueError, match="take latent"):
        build(D, prior_change=True, rollout_mode="decoded")


def test_decoded_rollouts_have_embeddings_of_the_latents_size():
    model, s, actions = build(11, rollout_mode="decoded"), th.randn(B, T, D), th.randint(A, (B, T, N))
    assert {z.shape for z in model.embed(s, actions, model.sale(s, actions)).values()} == {(B, T, D)}
    assert model.step(s, actions, draw=False).s.shape == (B, T, D)
