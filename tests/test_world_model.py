"""The world model (MMSA §4.3) without a learner: distributions, embeddings, imagination against a slow loop."""

import pytest
import torch as th
from fixtures_mmsa import onehots
from torch.nn.functional import elu, softplus

from modules.linear import linear
from modules.world_model import MIN_STD, Gaussian, GaussianEncoder, WorldModel

B, T, N, A, H, L = 4, 5, 3, 5, 8, 2
D = N * L


def build(embed_size=11, **settings):
    th.manual_seed(0)
    given = {"rollout_mode": "latent", "sale": True, "sample": False, "normaliser": "avgl1"} | settings
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
    prior = model.prior(embeddings)
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
    read = th.cat([embeddings["z_sa"], embeddings["z_s"], embeddings["phi"]], dim=-1)
    th.testing.assert_close(model.prior(embeddings).mean, model.prior_encoder(read).mean)
    s = th.randn(B, T, D)
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


@pytest.mark.parametrize(
    ("mode", "embed_size", "sale"),
    [("latent", 11, True), ("latent", D, True), ("decoded", D, True), ("latent", 11, False)],
)
@pytest.mark.parametrize("horizon", [1, 3])
def test_imagination_is_a_slow_loop_over_starting_points_and_steps(mode, embed_size, sale, horizon):
    model, h = build(embed_size, rollout_mode=mode, sale=sale), some_hidden()
    s = model.posterior(h).mean.detach().requires_grad_()
    fast = model.imagine(s, policy(h), policy, horizon, draw=False)
    slow = th.empty_like(fast)
    for b in range(B):
        for t in range(T):
            latents, hidden = [s[b, t]], h[b, t]
            for _ in range(horizon):
                onehot = th.eye(A)[policy(hidden)].flatten()
                reads = [model.phi.linear(th.cat([latents[-1], onehot]))]
                if sale:
                    z_s = model.sale.f(latents[-1]).detach()
                    reads = [model.sale.g(z_s, policy(hidden)).detach(), z_s, *reads]
                s_next = both_paths(model.prior_encoder, th.cat(reads))[:D]
                if mode == "decoded":
                    s_next = model.prior_decoder(s_next)[embed_size : 2 * embed_size]
                latents.append(s_next)
                hidden = model.posterior_decoder(s_next).reshape(N, H)
            slow[b, t] = th.stack(latents)
    th.testing.assert_close(fast, slow)
    inputs = [s, model.phi.linear.weight, *model.prior_encoder.parameters()]
    grads = [th.autograd.grad(latents[..., -1, :].square().sum(), inputs) for latents in (fast, slow)]
    th.testing.assert_close(*grads)


def test_drawn_rollouts_differ_from_each_other_and_lie_around_the_means():
    model, h = build(), some_hidden()
    s = model.posterior(h).mean
    mean, *drawn = (model.imagine(s, policy(h), policy, 1, draw=draw)[..., 1, :] for draw in (False, *[True] * 400))
    assert not th.equal(drawn[0], drawn[1])
    std = model.prior(model.embed(s, policy(h), model.sale(s, policy(h)))).std
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
    for j, hidden in enumerate(asked, start=1):
        th.testing.assert_close(hidden, model.decode_hidden(rollout[:, :, j]))
    assert rollout.requires_grad


def test_without_sale_the_prior_reads_phi_alone():
    model, s, actions = build(sale=False), th.randn(B, T, D), th.randint(A, (B, T, N))
    assert not any("sale" in name for name, _ in model.named_parameters())
    embedded = model.embed(s, actions, None)
    assert list(embedded) == list(model.decode_embeddings(s)) == ["phi"]
    th.testing.assert_close(model.prior(embedded).mean, model.prior_encoder(embedded["phi"]).mean)
    assert model.decode_embeddings(s)["phi"].shape == (B, T, 11)
    with pytest.raises(ValueError, match="without SALE there is none"):
        build(D, sale=False, rollout_mode="decoded")


def test_decoded_rollouts_need_embeddings_of_the_latents_size():
    with pytest.raises(ValueError, match="11 is not 6"):
        build(11, rollout_mode="decoded")
