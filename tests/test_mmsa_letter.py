"""§4.2 to §4.4 of the MMSA paper once more, slowly, in its order and its letters: `mmsa_paper` gives the same.

Plain float64 PyTorch: one episode, one step, one agent at a time. Of the code under test it takes the weights alone, by
name: `W` of the agents or the mixer, `θ` of the world model, with a minus the targets'. `sg` is the paper's |·|×. What
the paper leaves to the reader is said where it stands; docs/mmsa.md has all of it. Every draw ``μ + σ ε`` has one ε.
"""

import re
from pathlib import Path

import pytest
import torch as th
from fixtures_mmsa import CONFIG_DIR, SMALL_MMSA, A, N, drifted, make_batch, make_learner
from torch.nn.functional import elu, softplus

from components.episode_rows import EpisodeRows
from controllers.agent_inputs import agent_inputs
from modules.world_model import Gaussian
from settings import resolve

D, H = N * SMALL_MMSA["latent_dim"], SMALL_MMSA["rnn_hidden_dim"]
EPSILON = th.linspace(-1.0, 1.5, D, dtype=th.float64)
J, ALPHA = 3, 0.2  # the paper's horizon; α is ours, it gives none, nor a γ
GAMMA = 31 / 32  # which is the same in float32 and float64


def sg(x):
    return {name: w.detach() for name, w in x.items()} if isinstance(x, dict) else x.detach()


def linear(W, name, *x):
    return W[f"{name}.weight"] @ th.cat(x) + W[f"{name}.bias"]


def onehot(actions):
    return th.eye(A, dtype=th.float64)[actions].flatten()


def mse(x, y):
    return ((x - y) ** 2).mean()


# ---- §4.2: policy network and agent network


def avg_l1_norm(z):
    return z / ((1 / len(z)) * sum(abs(z_i) for z_i in z))


def f(W, s):
    return avg_l1_norm(linear(W, "f.layers.4", elu(linear(W, "f.layers.2", elu(linear(W, "f.layers.0", s))))))


def g(W, z, a):
    return linear(W, "g.third", elu(linear(W, "g.second", elu(linear(W, "g.first.linear", z, a)))))


def gru(W, name, x, h):
    x_r, x_z, x_n = (W[f"{name}.weight_ih_l0"] @ x + W[f"{name}.bias_ih_l0"]).chunk(3)
    h_r, h_z, h_n = (W[f"{name}.weight_hh_l0"] @ h + W[f"{name}.bias_hh_l0"]).chunk(3)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    return (1 - z) * (x_n + r * h_n).tanh() + z * h


def histories(W, obs, actions):
    """h_t (N, H) of an episode: «we use recurrent neural networks to implement the agent network in practice»."""
    h, found = [th.zeros(H, dtype=th.float64)] * N, []
    for t, o in enumerate(obs):
        last = [th.zeros(A) if t == 0 else onehot(actions[t - 1][i]) for i in range(N)]
        x = [linear(W, "encoder.fc1", o[i], last[i], th.eye(N)[i]).relu() for i in range(N)]
        h = [gru(W, "encoder.rnn", x[i], h[i]) for i in range(N)]
        found.append(th.stack(h))
    return found


def Q_i(W, h_i):  # noqa: N802  the paper's letter
    """Of every action; h_t^i, which the RNN makes of the observations so far, stands where the text has o_t^i."""
    sale, values = below("sale.", W), []
    for a in range(A):
        z_o = f(sale, h_i)
        z_oa = g(sale, z_o, onehot(a))
        phi_oa = avg_l1_norm(linear(W, "phi.linear", h_i, onehot(a)))
        values.append(linear(W, "head.last", linear(W, "head.first", z_o, z_oa, phi_oa).relu()))
    return th.cat(values)


def policy(W, h, avail):
    """â: each agent's best available action, for no loss trains a policy head."""
    return th.stack([Q_i(W, h[i]).masked_fill(~avail[i], -th.inf).argmax() for i in range(N)])


# ---- §4.3: the world model


def perceptron(θ, name, *x):
    return linear(θ, f"{name}.last", elu(linear(θ, f"{name}.first", *x)), *x)


def gaussian(θ, name, *x):
    mean, spread = perceptron(θ, name, *x).chunk(2)
    return mean, softplus(spread) + 0.01


def draw(distribution):
    mean, std = distribution
    return mean + std * EPSILON


def q(θ, h):
    """The posterior, VAE-2's encoder."""
    return gaussian(θ, "posterior_encoder", h.flatten())


def embeddings(θ, s, a):
    """z^sa, z^s and φ^sa, normalised (Fig. 2); f and g are L(f, g)'s to train, and constants here."""
    sale = sg(below("sale.", θ))
    z_s = f(sale, s)
    return avg_l1_norm(g(sale, z_s, onehot(a))), z_s, avg_l1_norm(linear(θ, "phi.linear", s, onehot(a)))


def p(θ, s, a):
    """The prior of the next ŝ, VAE-1's encoder."""
    return gaussian(θ, "prior_encoder", *embeddings(θ, s, a))


def vae_1(θ, s, a):
    """z'^sa, z'^s and φ'^sa of the next step."""
    return perceptron(θ, "prior_decoder", draw(p(θ, s, a))).chunk(3)


def vae_2(θ, z_sa, z_s, phi_sa):
    """h' of the step that these embeddings are of."""
    return perceptron(θ, "posterior_decoder.0", z_sa, z_s, phi_sa).tanh().reshape(N, H)


def rollout(W, θ, h, avail):
    """ŝ_t, z'^s_{t+1}, …, z'^s_{t+J}; what is available at t is so at all steps."""
    s = [draw(q(θ, h))]
    for _ in range(J):
        z_sa, z_s, phi_sa = vae_1(θ, s[-1], policy(W, h, avail))
        s.append(z_s)
        h = vae_2(θ, z_sa, z_s, phi_sa)
    return s


# ---- §4.4: the framework


def Q_tot(W, Q, s, rolled):  # noqa: N802
    """QMIX's mixing of the Q_i, given s_t and ŝ^Rollout, which a GRU makes, the present last."""
    s_rollout = th.zeros_like(s)
    for s_hat in reversed(rolled):
        s_rollout = gru(W, "aggregate.gru", s_hat, s_rollout)
    c = th.cat([s, s_rollout])
    w_1, w_2, v = (linear(W, f"mixing.{n}.2", linear(W, f"mixing.{n}.0", c).relu()) for n in NETS)
    hidden = elu(Q @ w_1.abs().reshape(N, -1) + linear(W, "mixing.hyper_b_1", c))
    return hidden @ w_2.abs() + v[0]


NETS = ("hyper_w_1", "hyper_w_2", "value")


def kl(one, other):
    (m, s), (n, r) = one, other
    return ((r / s).log() + (s**2 + (m - n) ** 2) / (2 * r**2) - 0.5).sum()


def losses(W, W_minus, θ, episodes):
    """The four, each the mean over the steps that it is of; L_REC's terms each over theirs."""
    L_KL, L_z, L_h, L_TD, L_fg, Q_tots, rollouts = ([] for _ in range(7))
    for e in episodes:
        T, a = len(e["actions"]), e["actions"]
        hs, hs_minus = histories(W["agent"], e["obs"], a), histories(W_minus["agent"], e["obs"], a)
        h = [sg(x) for x in hs]  # L_KL and L_REC are functions of θ
        ŝ = [draw(q(θ, x)) for x in h]
        rolled = [[sg(x) for x in rollout(sg(W["agent"]), θ, h[t], e["avail"][t])] for t in range(T + 1)]
        rollouts.append(th.stack([th.stack(x) for x in rolled]))
        for t in range(1, T + 1):
            prior, posterior, standard = p(θ, ŝ[t - 1], a[t - 1]), q(θ, h[t]), (th.zeros(D), th.ones(D))
            balanced = ALPHA * kl(posterior, [sg(x) for x in prior])
            balanced = balanced + (1 - ALPHA) * kl([sg(x) for x in posterior], prior)
            L_KL.append(kl(prior, standard) + balanced)
            z_prime = vae_1(θ, ŝ[t - 1], a[t - 1])
            L_h.append(mse(h[t], vae_2(θ, *z_prime)))
            if t < T:  # at T there is no action to embed
                L_z.append(sum(mse(z, x) for z, x in zip(embeddings(θ, ŝ[t], a[t]), z_prime, strict=True)))
        for t in range(T):
            last = e["ended"] and t == T - 1
            best = [Q_i(W_minus["agent"], hs_minus[t + 1][i]).masked_fill(~e["avail"][t + 1][i], -th.inf).max()
                    for i in range(N)]  # fmt: skip
            y = e["reward"][t]
            if not last:
                y = y + GAMMA * Q_tot(W_minus["mixer"], th.stack(best), e["state"][t + 1], rolled[t + 1])
            taken = th.stack([Q_i(W["agent"], hs[t][i])[a[t][i]] for i in range(N)])
            Q_tots.append(Q_tot(W["mixer"], taken, e["state"][t], rolled[t]))
            L_TD.append((sg(y) - Q_tots[-1]) ** 2)
            sale = below("sale.", θ)
            z_sa, z_next = g(sale, f(sale, sg(ŝ[t])), onehot(a[t])), f(sale, sg(ŝ[t + 1]))
            L_fg.append(mse(z_sa, sg(z_next)))
    kls, zs, hs, tds, fgs = (th.stack(x).mean() for x in (L_KL, L_z, L_h, L_TD, L_fg))
    return {"loss_kl": kls, "loss_rec": zs + hs, "loss_td": tds, "loss_sale": fgs}, th.stack(Q_tots), rollouts


# ---- the comparison


def below(prefix, W):
    return {name.removeprefix(prefix): w for name, w in W.items() if name.startswith(prefix)}


class Doubled:
    """A batch in float64."""

    def __init__(self, batch):
        self.batch = batch

    def __getitem__(self, name):
        value = self.batch[name]
        return value.double() if value.is_floating_point() else value


def episodes_of(batch):
    doubled = Doubled(batch)
    for b in range(batch.batch_size):
        T = int(batch["filled"][b].sum()) - 1
        yield {
            "obs": doubled["obs"][b, : T + 1], "state": doubled["state"][b, : T + 1],
            "avail": batch["avail_actions"][b, : T + 1], "actions": batch["actions"][b, :T, :, 0],
            "reward": doubled["reward"][b, :T, 0], "ended": bool(batch["terminated"][b].any()),
        }  # fmt: skip


@pytest.fixture
def ours(monkeypatch):
    """Return a learner in float64 with the batch, its losses, Q_tot of the actions taken, and its roll-outs."""
    monkeypatch.setattr(Gaussian, "sample", lambda self: self.mean + self.std * EPSILON)
    learner, batch = drifted(make_learner("mmsa_paper", gamma=GAMMA)), make_batch()
    assert (learner.args.rollout_horizon, learner.args.kl_alpha) == (J, ALPHA)
    inputs = agent_inputs(EpisodeRows(batch, packed=False), A, last_action=True, agent_id=True).double()
    monkeypatch.setattr(learner.mac, "build_inputs", lambda rows: inputs)
    for module in (*learner.trained.values(), *learner.targets.values()):
        module.double()
    rows, mixed = EpisodeRows(Doubled(batch), packed=False), []
    rows.mask, rows.pair_mask = rows.mask.double(), rows.pair_mask.double()
    learner.mixer.register_forward_hook(lambda _, given, q_tot: mixed.append((given[2], q_tot)))
    found, _ = learner.losses(rows)
    (rolled, q_tot), steps = mixed[0], len(rows.sizes)
    filled = [(b, t) for b, e in enumerate(episodes_of(batch)) for t in range(len(e["actions"]))]
    q_tots = th.stack([q_tot.unflatten(0, (steps, -1))[t, b] for b, t in filled])
    return learner, batch, found, q_tots, rolled.unflatten(0, (steps, -1)).transpose(0, 1)


def test_mmsa_paper_is_the_papers_text(ours):
    learner, batch, found, q_tots, rolled = ours
    W = {name: dict(module.named_parameters()) for name, module in learner.trained.items()}
    W_minus = {name: dict(module.named_parameters()) for name, module in learner.targets.items()}
    wanted, wanted_q, wanted_rolled = losses(W, W_minus, W["world_model"], list(episodes_of(batch)))
    close = {"rtol": 1e-6, "atol": 1e-12}
    th.testing.assert_close(found, wanted, **close)
    th.testing.assert_close(q_tots, wanted_q, **close)
    for b, episode in enumerate(wanted_rolled):
        th.testing.assert_close(rolled[b, : len(episode)], episode, **close)
    for name in wanted:
        grads = [
            th.autograd.grad(form[name], learner.parameters, retain_graph=True, materialize_grads=True)
            for form in (found, wanted)
        ]
        assert any(grad.any() for grad in grads[1])
        th.testing.assert_close(*grads, **close)


def test_the_manual_names_every_setting_in_which_mmsa_differs():
    letter, ours = (resolve(name, "matrix_game", {}, CONFIG_DIR) for name in ("mmsa_paper", "mmsa"))
    differing = {key for key in ours if ours[key] != letter[key]} - {"name"}
    text = (Path(__file__).parents[1] / "docs" / "mmsa.md").read_text(encoding="utf-8")
    table = text.partition("## What `mmsa` does otherwise")[2].partition("\n## ")[0]
    named = {key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert named == differing
