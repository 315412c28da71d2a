"""SMMAE: novelty, who explores when and how, its losses by slow forms, and what each of them trains."""

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import (
    EPISODES,
    OBS,
    SCHEME,
    A,
    N,
    S,
    drifted,
    make_args,
    make_batch,
    make_learner,
    shaken,
    slow_lambda_return,
    trained_by,
)
from tiny_runs import play, read

from components.action_selectors import select_exploring
from components.episode_rows import EpisodeRows, totals_of
from controllers import REGISTRY as CONTROLLERS
from deployment.agents import load_agents
from modules.agents.explorer import Explorer, StateOfEachAgent
from modules.novelty import ObservationDensity
from modules.teammates import TeammatePredictor

LENGTHS = [length for length, _ in EPISODES]


@pytest.fixture
def certain(monkeypatch):
    """Have densities take the mean of what they would draw."""
    monkeypatch.setattr(th, "randn_like", th.zeros_like)


def test_intrinsic_rewards_are_higher_in_a_state_never_visited():
    """Agent 0 has seen the left half of a corridor, the others all of it."""
    th.manual_seed(1)
    places = th.eye(8)
    density = ObservationDensity(N, 8, 64, 32)
    adam = th.optim.Adam(density.parameters(), lr=0.01)
    for _ in range(200):
        visited = th.randint(8, (64, N))
        visited[:, 0] %= 4
        obs = places[visited]
        posterior, decoded = density(obs)
        kl = (0.5 * (posterior.std.square() + posterior.mean.square() - 1) - posterior.std.log()).sum(dim=-1)
        adam.zero_grad()
        ((obs - decoded).square().mean(dim=-1) + 1e-3 * kl).sum(dim=-1).mean().backward()
        adam.step()
    with th.no_grad():
        obs = places.unsqueeze(1).expand(-1, N, -1)
        novelty = sum((obs - density(obs)[1]).square().sum(dim=-1) for _ in range(20)) / 20
    assert novelty[4:, 0].min() > 2 * novelty[:4, 0].max()
    assert novelty[4:, 0].min() > 2 * novelty[:, 1:].max()


def test_a_learner_finds_what_it_has_not_learnt_from_newer():
    learner, batch = make_learner("smmae", density_beta=0.001), make_batch()
    batch.array("obs")[:] = np.sign(batch.array("obs"))
    for _ in range(200):
        learner.density.zero_grad()
        learner.density_of(EpisodeRows(batch))[0].backward()
        learner.optimisers["density"].step()
    other = make_batch()
    other.array("obs")[:] = 3 * np.sign(make_batch(seed=5).array("obs"))
    (_, seen), (_, unseen) = (learner.density_of(EpisodeRows(each)) for each in (batch, other))
    assert unseen.mean() > 5 * seen.mean()


def test_every_agent_has_a_density_of_its_own():
    density, obs = shaken(ObservationDensity(N, OBS, 6, 2)), th.randn(4, N, OBS)
    obs.requires_grad_()
    posterior, decoded = density(obs)
    assert posterior.mean.shape == posterior.std.shape == (4, N, 2) and decoded.shape == (4, N, OBS)
    (slopes,) = th.autograd.grad(decoded[:, 1].sum(), obs)
    assert (slopes[:, 1] != 0).any() and (slopes[:, [0, 2]] == 0).all()
    alike = th.randn(1, 1, OBS).expand(1, N, OBS)
    assert not th.allclose(density(alike)[0].mean[0, 0], density(alike)[0].mean[0, 1])


def test_an_agent_s_attention_is_on_all_others_and_not_on_itself():
    predictor, obs = shaken(TeammatePredictor(N, OBS, A, 6)), th.randn(1, N, OBS)
    logits = predictor(obs)
    seen = th.cat([obs[0], th.eye(N)], dim=-1)
    for i in range(N):
        others = [j for j in range(N) if j != i]
        scores = th.stack([predictor.query(seen[i]) @ predictor.key(seen[j]) for j in others]) / 6**0.5
        told = sum(w * predictor.value(seen[j]) for w, j in zip(scores.softmax(dim=0), others, strict=True))
        th.testing.assert_close(logits[0, i], predictor.net(th.cat([told, th.eye(N)[i]])))


def test_explorers_read_the_state_and_the_agent_s_number():
    first, states = shaken(StateOfEachAgent(S, N, 6)), th.randn(4, 1, S)
    weight = th.cat([first.of_state.weight, first.of_agent.T], dim=1)
    inputs = th.cat([states.expand(-1, N, -1), th.eye(N).expand(4, -1, -1)], dim=-1)
    th.testing.assert_close(first(states), inputs @ weight.T + first.of_state.bias)


@pytest.mark.parametrize("epsilon", [0.3, np.array([0.0, 0.3, 1.0])])
def test_who_explores_takes_the_explorer_s_best_or_a_random_action(epsilon):
    rng = np.random.default_rng(0)
    q, found, draws = rng.normal(size=(500, N, A)), rng.normal(size=(500, N, A)), rng.random((500, 3, N))
    avail = rng.random((500, N, A)) < 0.6
    avail[..., 0] = True
    actions = select_exploring(q, found, avail, epsilon, 0.2, draws)
    for n, i in np.ndindex(500, N):
        allowed = np.flatnonzero(avail[n, i])
        best = {name: allowed[values[n, i, allowed].argmax()] for name, values in (("q", q), ("found", found))}
        if draws[n, 0, i] >= np.broadcast_to(epsilon, N)[i]:
            assert actions[n, i] == best["q"]
        elif draws[n, 1, i] >= 0.2:
            assert actions[n, i] == best["found"]
        else:
            assert actions[n, i] == allowed[int(draws[n, 2, i] * len(allowed))]


def test_shares_rise_where_teammates_tell_and_fall_where_they_do_not():
    settings = {"alpha_low": 0.1, "alpha_high": 0.5, "alpha_anneal_time": 1000, "alpha_threshold": 1, "alpha_steps": 4}
    explorer = Explorer(make_args("smmae", alpha_interval=3, **settings))
    assert explorer.shares(0).tolist() == pytest.approx([0.5] * N)
    explorer.note(th.tensor([[2.0, 0.5, 0.9]] * 2))
    assert explorer.levels.tolist() == [1, 1, 1]  # two episodes of three
    explorer.note(th.tensor([[2.0, 0.5, 1.5]]))
    assert explorer.levels.tolist() == [0, 1, 0]  # means of 2, 0.5 and 1.1
    for _ in range(2):
        explorer.note(th.zeros(3, N))
    assert explorer.levels.tolist() == [0.5, 1, 0.5]
    for t_env, high in ((0, 0.5), (250, 0.4), (1000, 0.1), (5000, 0.1)):
        middle = (0.1 + high) / 2
        assert explorer.shares(t_env).tolist() == pytest.approx([middle, high, middle])


def test_epsilon_is_each_agent_s_own_once_it_has_decayed():
    args = make_args("smmae", epsilon_anneal_time=100, alpha_anneal_time=1000)
    mac = CONTROLLERS["smmae_mac"](SCHEME, {"agents": N}, args)
    mac.agent["explorer"].levels.copy_(th.tensor([0, 0.5, 1]))
    assert mac.epsilon(50, test_mode=False) == pytest.approx(0.525)
    assert mac.epsilon(500, test_mode=False).tolist() == pytest.approx([0.04, 0.105, 0.17])
    assert mac.epsilon(500, test_mode=True) == 0.0


def test_acting_is_what_learning_sees():
    """The explorer's and the agents' values, step by step, are those of whole episodes."""
    learner, batch = drifted(make_learner("smmae", explorer_random=0)), make_batch()
    mac, rows = learner.mac, EpisodeRows(batch, packed=False)
    inputs = (mac.build_inputs(rows), rows["state"].unsqueeze(1))
    whole = [
        rows.spread(net.q_from_hidden(net.encode(x, rows.sizes)))
        for net, x in zip((learner.agent, learner.explorer), inputs, strict=True)
    ]
    hidden, B = mac.init_hidden(batch.batch_size), batch.batch_size
    draws = np.tile(np.array([0.0, 1.0, 0.0])[:, None, None], (1, 3, N))[np.arange(B) % 3]
    for t in range(batch.max_seq_length):
        filled = batch.array("filled")[:, t, 0]
        avail = batch["avail_actions"][:, t]
        actions, hidden = mac.select_actions(batch, t, hidden, 0.5, draws)
        best = [q[:, t].masked_fill(~avail, -th.inf).argmax(dim=-1).numpy() for q in whole]
        expected = np.where(draws[:, 0] < 0.5, best[1], best[0])
        assert (actions[filled] == expected[filled]).all()
    hidden = mac.init_hidden(B)
    actions, after = mac.select_actions(batch, 0, hidden, 0.0, None)
    assert (actions == whole[0][:, 0].masked_fill(~batch["avail_actions"][:, 0], -th.inf).argmax(dim=-1).numpy()).all()
    assert (after[..., :8] != 0).any() and (after[..., 8:] == 0).all()


def test_losses_are_those_of_slow_forms(certain):
    learner, batch = drifted(make_learner("smmae")), make_batch()
    rows, args = EpisodeRows(batch), learner.args
    losses, figures = learner.losses(rows)
    (qmix,) = (loss for name, loss in losses.items() if name == "loss_td")
    explorers = [learner.explorer, learner.target_explorer]
    states = rows["state"].unsqueeze(1)
    q, target_q = (rows.spread(net.q_from_hidden(net.encode(states, rows.sizes))).detach() for net in explorers)
    h = learner.agent.encode(learner.mac.build_inputs(rows), rows.sizes)
    own = rows.spread(learner.agent.q_from_hidden(h)).masked_fill(~batch["avail_actions"], -th.inf)
    best = q.masked_fill(~batch["avail_actions"], -th.inf).argmax(dim=-1)
    sums = dict.fromkeys(("loss_density", "loss_explorer", "loss_predictor", "novelty_mean"), 0.0)
    for b, (length, end) in enumerate(EPISODES):
        posterior, decoded = learner.density(batch["obs"][b, 1 : length + 1])
        errors = (batch["obs"][b, 1 : length + 1] - decoded).square().detach()
        kl = 0.5 * (posterior.std**2 + posterior.mean**2 - 1 - 2 * posterior.std.log()).sum(dim=-1).detach()
        logits = learner.predictor(batch["obs"][b, :length]).detach()
        for i in range(N):
            rewards = [0.5 * batch["reward"][b, t, 0].item() + 0.02 * errors[t, i].sum().item() for t in range(length)]
            ahead = [target_q[b, t, i, best[b, t, i]].item() for t in range(1, length + 1)]
            for t in range(length):
                back = slow_lambda_return(rewards, ahead, end == "terminated", t, args.gamma, args.td_lambda)
                taken = q[b, t, i, batch["actions"][b, t, i, 0]].item()
                sums["loss_explorer"] += (taken - back) ** 2 / N
                sums["loss_density"] += (errors[t, i].mean() + 0.5 * kl[t, i]).item()
                sums["novelty_mean"] += errors[t, i].sum().item() / N
                sums["loss_predictor"] -= logits[t, i].log_softmax(dim=-1)[own[b, t, i].argmax()].item() / N
    slow = {name: total / sum(LENGTHS) for name, total in sums.items()}
    assert {name: {**losses, **figures}[name].item() for name in slow} == pytest.approx(slow, rel=1e-3)
    assert qmix.item() > 0


def test_which_loss_trains_what_and_by_which_optimiser():
    learner = drifted(make_learner("smmae"))
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    assert trained_by(learner, losses) == {
        "loss_td": {"agent", "mixer"}, "loss_density": {"density"}, "loss_explorer": {"explorer"},
        "loss_predictor": {"predictor"},
    }  # fmt: skip
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in learner.optimisers.items()}
    assert rates == {"networks": 0.001, "explorer": 0.001, "density": 0.01, "predictor": 0.005}
    before = {kind: [p.clone() for p in module.parameters()] for kind, module in learner.trained.items()}
    learner.train(make_batch(), 0, 0)
    for kind, module in learner.trained.items():
        assert not all(th.equal(p, was) for p, was in zip(module.parameters(), before[kind], strict=True)), kind
    learner.update_targets()
    assert th.equal(learner.target_explorer.fc2.weight, learner.explorer.fc2.weight)


def test_shares_of_a_batch_add_up_and_padding_changes_nothing(certain):
    learner, batch = drifted(make_learner("smmae")), make_batch()
    whole = learner.losses(EpisodeRows(batch, packed=False))[0]
    shares = [learner.losses(EpisodeRows(part, totals=totals_of(batch)))[0] for part in batch.parts(2)]
    for name, loss in whole.items():
        th.testing.assert_close(sum(share[name] for share in shares), loss, rtol=1e-4, atol=1e-5)


def test_new_episodes_are_noted_as_means_of_each(certain):
    learner, batch = drifted(make_learner("smmae", alpha_interval=100)), make_batch()
    rows = EpisodeRows(batch)
    _, q, _ = learner.agent_values(rows)
    errors = rows.spread_pairs(learner.prediction_errors(rows, q).detach())
    learner.note_episodes(batch)
    slow = sum(errors[b, :length].mean(dim=0) for b, length in enumerate(LENGTHS))
    th.testing.assert_close(learner.explorer.errors, slow)
    assert learner.explorer.episodes == len(LENGTHS)


@pytest.mark.parametrize(("settings", "says"), [
    ({"mac": "basic_mac"}, "mac=smmae_mac, not basic_mac"), ({"cuda_graph": True}, "several optimisers"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        make_learner("smmae", **settings)


def test_it_trains_on_foraging_and_acts_elsewhere(tmp_path):
    folder = play("smmae", "lbf", tmp_path, overlap="1")
    figures = read(folder, "metrics.json")
    assert {"loss_explorer", "novelty_mean", "explorer_level_1", "grad_norm_density"} <= figures.keys()
    agents = load_agents(folder)
    obs, actions = th.zeros(2, agents.info.obs_size), None
    for _ in range(2):
        actions = agents.act(obs.numpy())
    assert actions.shape == (2,)
