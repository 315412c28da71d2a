"""Games whose answer is known: what a central critic is for, and what a counterfactual baseline is for."""

import itertools

import acting_games
import pytest
import torch as th
from hidden_payoff import BEST, PATH
from test_learning import greedy_return

import main
from components.episode_batch import EpisodeBatch
from envs import ENVS
from envs.matrix_payoffs import GAMES
from learners.policy_losses import counterfactual_advantages
from modules.actors.densities import Categorical
from settings import resolve
from training.assembly import build
from training.loop import learn, play_round

SMALL = {"t_max": "1280", "lr": "0.003", "critic_lr": "0.01", "batch_size_run": "16", "batch_size": "16",
         "minibatches": "1"}  # fmt: skip


def probability_of_the_best(config, seed):
    """Train on the game with the hidden payoff, and return the smaller of the agents' probabilities of action 2."""
    settings = SMALL | {"seed": str(seed), "device": "cpu", "critic_hidden_dim": "16", "rnn_hidden_dim": "16",
                        "entropy_coef": "0"}  # fmt: skip
    run = build(resolve(config, "matrix_game", settings, main.CONFIG_DIR))
    try:
        while run.t_env < run.args.t_max:
            play_round(run)
            learn(run)
        batch = EpisodeBatch(run.runner.scheme, run.runner.groups, 1, 2)
        batch.update({"obs": 1.0, "avail_actions": True}, ts=0)
        probabilities, _ = run.mac.step(batch, 0, run.mac.init_hidden(1), slice(None))
        return probabilities[0, :, BEST].min()
    finally:
        run.close()


def test_a_central_critic_tells_luck_from_merit_and_an_agents_own_does_not(monkeypatch):
    """One seed. Of seeds 1 to 5 MAPPO came out above 0.99 with all, and IPPO below 0.4 with the first four.

    With the fifth IPPO had 0.93: its policy walks at random, and may walk there.
    """
    monkeypatch.setitem(ENVS, "matrix_game", PATH)
    assert probability_of_the_best("mappo", 1) > 0.95
    assert probability_of_the_best("ippo", 1) < 0.8


@pytest.mark.parametrize("policy", range(3))
def test_comas_baseline_lowers_the_variance_of_the_gradient_and_leaves_its_mean(policy):
    """Both estimators at every joint action of a game, with its true values, weighed by how likely it is.

    No law: where payoffs of both signs meet (the climbing game), the baseline can raise it.
    """
    payoffs = th.tensor(GAMES["one_step"].payoffs[0], dtype=th.float64)
    th.manual_seed(policy)
    logits = th.randn(2, len(payoffs), dtype=th.float64, requires_grad=True)
    p = logits.detach().softmax(dim=-1)
    gradients, weights = {"coma": [], "reinforce": []}, []
    for joint in itertools.product(range(len(payoffs)), repeat=2):
        q = th.stack([payoffs[:, joint[1]], payoffs[joint[0]]])  # each agent's actions given the other's
        actions = th.tensor(joint)[:, None]
        log_prob = Categorical(logits).log_prob(actions)
        for name, advantages in (
            ("coma", counterfactual_advantages(q, p, actions)),
            ("reinforce", payoffs[joint].expand(2)),
        ):
            gradients[name].append(th.autograd.grad((advantages * log_prob).sum(), logits, retain_graph=True)[0])
        weights.append(p[0, joint[0]] * p[1, joint[1]])
    weights = th.stack(weights)[:, None, None]
    means, variances = {}, {}
    for name, found in gradients.items():
        each = th.stack(found)
        means[name] = (weights * each).sum(dim=0)
        variances[name] = (weights * (each - means[name]).square()).sum()
    th.testing.assert_close(means["coma"], means["reinforce"])
    assert variances["coma"] < 0.8 * variances["reinforce"]


# Solved by every policy with each of twelve seeds; at a step of 0.005 one seed in twelve settles too early.
POLICY = {"t_max": "1200", "lr": "0.003", "critic_lr": "0.005", "batch_size": "16", "batch_size_run": "16"}


@pytest.mark.parametrize("alg", ["mappo", "ippo", "maa2c", "ia2c", "coma"])
def test_every_policy_solves_the_one_step_game(alg, tmp_path):
    assert greedy_return(alg, "one_step", POLICY, tmp_path) == 8


@pytest.mark.parametrize(("key", "most"), [("one_step", 28), ("two_step", 26), ("climbing", 28)])
def test_every_kind_of_action_is_learnt(key, most, monkeypatch, tmp_path):
    """Of numbers, those that reach or leave their bounds are as good as the bounds."""
    monkeypatch.setitem(ENVS, "matrix_game", acting_games.PATH)
    assert greedy_return("mappo", key, POLICY | {"t_max": "4000"}, tmp_path) == pytest.approx(most)
