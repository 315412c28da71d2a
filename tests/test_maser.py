"""MASER: its subgoals by an obvious search, its losses by slow forms, and what each of them trains."""

import math

import pytest
import torch as th
from fixtures_mmsa import EPISODES, A, N, drifted, make_batch, make_learner, slow_lambda_return, trained_by
from tiny_runs import play, read

from components.episode_rows import EpisodeRows
from learners.maser_learner import from_uniform
from modules.goal_distance import distance_to

LENGTHS = [length for length, _ in EPISODES]


def values(learner, rows):
    """Return the online and the target agents' values, and the target's greedy ones mixed, by episode and step."""
    inputs = learner.mac.build_inputs(rows)

    def spread(agent):
        return rows.spread(agent.q_from_hidden(agent.encode(inputs, rows.sizes)))

    with th.no_grad():
        q, target_q = spread(learner.agent), spread(learner.target_agent)
        best = q.masked_fill(~rows.batch["avail_actions"], -th.inf).argmax(dim=-1, keepdim=True)
        best = target_q.gather(-1, best).squeeze(-1)
        return q, target_q, best, learner.target_mixer(best, rows.batch["state"])


def slow_goals(learner, rows):
    """Search each episode for the step whose value is highest, for each agent."""
    _, _, best, team = values(learner, rows)
    alpha, goals = learner.args.subgoal_alpha, []
    for b, length in enumerate(LENGTHS):
        worth = [[alpha * best[b, t, i] + (1 - alpha) * team[b, t] / N for t in range(length)] for i in range(N)]
        goals.append([max(range(length), key=each.__getitem__) for each in worth])
    return goals


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_subgoal_is_the_row_of_the_episode_that_maximises_its_criterion(packed, alpha):
    learner = drifted(make_learner("maser", subgoal_alpha=alpha))
    rows = EpisodeRows(make_batch(), packed=packed)
    _, _, best, team = values(learner, rows)
    goals = learner.subgoals(rows, rows.now(rows.take(best)), rows.now(rows.take(team)).unsqueeze(-1))
    assert goals.tolist() == slow_goals(learner, rows)
    assert len({tuple(each) for each in goals.tolist()}) > 2


def test_a_subgoal_is_none_of_the_rows_that_no_episode_fills():
    learner, batch = drifted(make_learner("maser")), make_batch()
    rows = EpisodeRows(batch, packed=False)
    K = len(batch["reward"][0, :-1]) * batch.batch_size
    rising = rows.take_pairs(th.arange(K // batch.batch_size).view(1, -1, 1).expand(batch.batch_size, -1, N).float())
    assert learner.subgoals(rows, rising, rising[:, :1]).tolist() == [[length - 1] * N for length in LENGTHS]


def test_distances_are_measured_from_each_agent_s_own_subgoal():
    phi, goals = th.randn(2, 4, N, 5), th.tensor([[0, 3, 1], [2, 2, 0]])
    distance = distance_to(phi, goals)
    for b, t, i in th.cartesian_prod(th.arange(2), th.arange(4), th.arange(N)).tolist():
        slow = (phi[b, t, i] - phi[b, goals[b, i], i]).norm()
        th.testing.assert_close(distance[b, t, i], slow)
    assert all(distance[b, goals[b, i], i] == 0 for b in range(2) for i in range(N))


def test_how_far_values_are_from_uniform():
    q, avail = th.randn(6, A), th.rand(6, A) < 0.6
    avail[:, 0] = True
    for row, mask, found in zip(q, avail, from_uniform(q, avail), strict=True):
        p = row[mask].softmax(dim=-1)
        assert found.item() == pytest.approx((p * (p * len(p)).log()).sum().item(), abs=1e-5)
    assert from_uniform(th.zeros(A), th.ones(A, dtype=th.bool)).item() == pytest.approx(0, abs=1e-6)
    sure = from_uniform(th.tensor([100.0] + [0.0] * (A - 1)), th.ones(A, dtype=th.bool))
    assert sure.item() == pytest.approx(math.log(A), abs=1e-4)


def test_losses_are_those_of_slow_forms():
    weights = {"individual_coef": 0.7, "distance_coef": 0.5, "exploration_coef": 0.3}
    learner, batch = drifted(make_learner("maser", subgoal_reward=0.2, **weights)), make_batch()
    rows, args = EpisodeRows(batch), learner.args
    q, target_q, best, team = values(learner, rows)
    goals, phi = slow_goals(learner, rows), learner.distance(batch["obs"]).detach()
    taken = q[:, :-1].gather(-1, batch["actions"][:, :-1]).squeeze(-1)
    mixed = learner.mixer(taken, batch["state"][:, :-1]).detach()
    sums = dict.fromkeys(("loss_td", "loss_individual", "loss_distance", "loss_exploration"), 0.0)
    for b, (length, end) in enumerate(EPISODES):
        far = [[(phi[b, t, i] - phi[b, goals[b][i], i]).norm().item() for i in range(N)] for t in range(length)]
        rewards = batch["reward"][b, :length, 0].tolist()
        share = best[b].softmax(dim=-1)
        own = [[share[t + 1, i] * rewards[t] - 0.2 * far[t][i] for t in range(length)] for i in range(N)]
        drawn = [rewards[t] - 0.2 * sum(far[t]) / N for t in range(length)]

        def back(rewards, ahead, t, length=length, ended=end == "terminated"):
            return slow_lambda_return(rewards, ahead[1 : length + 1], ended, t, args.gamma, args.td_lambda)

        for t in range(length):
            sums["loss_td"] += (mixed[b, t] - back(drawn, team[b], t)).square().item()
            for i in range(N):
                wrong = taken[b, t, i] - back(own[i], best[b, :, i], t)
                sums["loss_individual"] += 0.7 * wrong.square().item()
                unlike = 1 - th.cosine_similarity(target_q[b, t, i], target_q[b, goals[b][i], i], dim=0).item()
                sums["loss_distance"] += 0.5 / N * (far[t][i] - unlike) ** 2
                if t >= goals[b][i]:
                    exploring = from_uniform(q[b, t, i], batch["avail_actions"][b, t, i]).item()
                    sums["loss_exploration"] += 0.3 / N * exploring
    losses, figures = learner.losses(rows)
    slow = {name: total / sum(LENGTHS) for name, total in sums.items()}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(slow, rel=1e-3)
    behind = sum(length - goal for length, each in zip(LENGTHS, goals, strict=True) for goal in each)
    assert figures["behind_subgoal"].item() == pytest.approx(behind / N / sum(LENGTHS))


def test_without_its_own_terms_it_is_qmix():
    off = dict.fromkeys(("subgoal_reward", "individual_coef", "distance_coef", "exploration_coef"), 0)
    learner, qmix = make_learner("maser", **off), make_learner("qmix")
    for kinds in ("trained", "targets"):
        for name, module in getattr(qmix, kinds).items():
            getattr(learner, kinds)[name].load_state_dict(module.state_dict())
    losses = learner.losses(EpisodeRows(make_batch()))[0].values()
    (loss,) = qmix.losses(EpisodeRows(make_batch()))[0].values()
    assert sum(losses).item() == pytest.approx(loss.item(), rel=1e-6)


def test_which_loss_trains_what():
    learner = drifted(make_learner("maser"))
    losses, _ = learner.losses(EpisodeRows(make_batch()))
    assert trained_by(learner, losses) == {
        "loss_td": {"agent", "mixer"}, "loss_individual": {"agent"}, "loss_distance": {"distance"},
        "loss_exploration": {"agent"},
    }  # fmt: skip


def test_phi_learns_how_unlike_the_values_are():
    learner, rows = drifted(make_learner("maser", lr=0.01)), EpisodeRows(make_batch())
    first = learner.losses(rows)[0]["loss_distance"].item()
    adam = th.optim.Adam(learner.distance.parameters(), lr=0.01)
    for _ in range(200):
        loss = learner.losses(rows)[0]["loss_distance"]
        adam.zero_grad()
        (1000 * loss).backward()
        adam.step()
    assert loss.item() < first / 10


def test_it_trains_on_foraging(tmp_path):
    folder = play("maser", "lbf", tmp_path)
    assert {"loss_distance", "subgoal_distance", "test_return_mean"} <= read(folder, "metrics.json").keys()
