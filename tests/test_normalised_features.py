"""With `normalise_features` no actor and no critic knows in which units an environment counts."""

import pytest
import torch as th
from fixtures_mmsa import OBS, A, N, S, make_args, shaken
from fixtures_policy import args_of, learner_of

from modules.actors.rnn_actor import RNNActor
from modules.critics.coma_critic import COMACritic
from modules.critics.value_critic import ValueCritic
from modules.sale import feature_normaliser

ROWS = 5


def in_other_units(x):
    return 1000 * x + 7


def plain_normalised(x):
    """One row after the other, by the definition."""
    rows = []
    for row in x.flatten(0, -2).double():
        mean = sum(row) / len(row)
        variance = sum((number - mean) ** 2 for number in row) / len(row)
        rows.append((row - mean) / (variance + 1e-5) ** 0.5)
    return th.stack(rows).view(x.shape).float()


def test_each_row_has_mean_zero_and_variance_one():
    x = 3 * th.randn(4, N, OBS) + 2
    th.testing.assert_close(feature_normaliser(True, OBS)(x), plain_normalised(x), rtol=1e-5, atol=1e-5)
    assert not feature_normaliser(True, OBS)(th.full((2, OBS), 9.0)).any()


def test_the_normaliser_has_nothing_to_save():
    wanted, without = (learner_of("discrete", "mappo", normalise_features=each) for each in (True, False))
    assert wanted.state_tensors().keys() == without.state_tensors().keys()


@pytest.mark.parametrize("normalise", [True, False])
def test_actors_read_features_of_any_scale_alike(normalise):
    th.manual_seed(0)
    actor = shaken(RNNActor(OBS, args_of("continuous", normalise_features=normalise)))
    obs, available = th.randn(ROWS, N, OBS), th.ones(ROWS, N, 2, dtype=th.bool)
    means = [actor.density(actor.encode(o, [ROWS]), available).mode() for o in (obs, in_other_units(obs))]
    assert th.allclose(*means, atol=1e-3) is normalise


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("config", "inputs"), [("mappo", (S,)), ("ippo", (N, OBS))])
def test_critics_read_features_of_any_scale_alike(config, inputs, normalise):
    th.manual_seed(0)
    critic = shaken(ValueCritic(OBS, args_of("discrete", config, normalise_features=normalise)))
    read = th.randn(ROWS, *inputs)
    values = [critic.value(critic.encode(x, [ROWS])) for x in (read, in_other_units(read))]
    assert th.allclose(*values, atol=1e-3) is normalise


@pytest.mark.parametrize("normalise", [True, False])
def test_comas_critic_reads_features_of_any_scale_alike_and_actions_as_they_are(normalise):
    th.manual_seed(0)
    critic = shaken(COMACritic(make_args("coma", normalise_features=normalise)))
    state, obs, actions = th.randn(ROWS, S), th.randn(ROWS, N, OBS), th.randint(A, (ROWS, N, 1))
    values = [critic(s, o, actions) for s, o in ((state, obs), (in_other_units(state), in_other_units(obs)))]
    assert th.allclose(*values, atol=1e-3) is normalise
    assert not th.allclose(critic(state, obs, (actions + 1) % A), values[0], atol=1e-3)
