"""The games' payoffs, their solutions, and the two-step game's order of states."""

import numpy as np
import pytest

from envs import make_env
from envs.matrix_drawing import CELL, GAP, HEAD
from envs.matrix_game import GAMES
from utils.drawing import YELLOW
from utils.errors import UserError


def play(key, *joint_actions):
    env = make_env("matrix_game", {"key": key})
    env.reset(0)
    seen = [env.get_state().tolist()]
    results = []
    for joint in joint_actions:
        results.append(env.step(np.array(joint)))
        seen.append(env.get_state().tolist())
    return [(reward, terminated) for reward, terminated, _, _ in results], seen


def table(key):
    n_actions = make_env("matrix_game", {"key": key}).info.n_actions
    return np.array([[play(key, (a, b))[0][0][0] for b in range(n_actions)] for a in range(n_actions)])


def test_one_step_game_is_solved_alike_by_joint_and_by_independent_learners():
    payoff = table("one_step")
    best = np.unravel_index(payoff.argmax(), payoff.shape)
    assert (payoff == payoff.max()).sum() == 1 and best != (0, 0)
    # VDN and IQL under full exploration judge an action by its mean over the other's actions.
    assert (payoff.mean(axis=1).argmax(), payoff.mean(axis=0).argmax()) == best
    # QMIX can represent it: the order of one agent's actions is the same whatever the other does.
    assert (payoff.argsort(axis=0) == payoff.argsort(axis=0)[:, :1]).all()
    assert (payoff.argsort(axis=1) == payoff.argsort(axis=1)[:1]).all()


def test_climbing_and_penalty_pay_as_in_claus_and_boutilier():
    assert table("climbing").tolist() == [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
    assert table("penalty").tolist() == [[10, 0, -100], [0, 2, 0], [-100, 0, 10]]


@pytest.mark.parametrize("other", [0, 1])
def test_two_step_game_is_steered_by_the_first_agent_alone(other):
    start, safe, risky = [1, 0, 0], [0, 1, 0], [0, 0, 1]
    for second in np.ndindex(2, 2):
        assert play("two_step", (0, other), second) == ([(0, False), (7, True)], [start, safe, safe])
        reward = [[0, 1], [1, 8]][second[0]][second[1]]
        assert play("two_step", (1, other), second) == ([(0, False), (reward, True)], [start, risky, risky])


@pytest.mark.parametrize("key", GAMES)
def test_both_agents_observe_the_state_and_episodes_have_their_announced_length(key):
    env = make_env("matrix_game", {"key": key})
    for seed in (0, 1):
        env.reset(seed)
        for step in range(env.info.episode_limit):
            assert (env.get_obs() == env.get_state()).all()
            _, terminated, truncated, _ = env.step(np.zeros(2, dtype=int))
            assert (terminated, truncated) == (step == env.info.episode_limit - 1, False)


def test_unknown_game_names_the_nearest():
    with pytest.raises(UserError, match="unknown matrix game 'twostep': did you mean two_step"):
        make_env("matrix_game", {"key": "twostep"})


def yellow(env):
    """How many cells of the picture are marked as taken."""
    picture = env.render().astype(int)
    marked = (picture == [int(YELLOW[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1)
    return round(marked.sum() / (CELL - 2) ** 2)


def test_the_picture_marks_the_joint_actions_taken_until_the_next_reset():
    env = make_env("matrix_game", {"key": "two_step"})
    env.reset(0)
    marked = [yellow(env)]
    for joint in ((1, 0), (1, 1)):
        env.step(np.array(joint))
        marked.append(yellow(env))
    env.reset(0)
    assert [*marked, yellow(env)] == [0, 1, 2, 0]


def test_the_picture_marks_the_first_agents_row_and_the_seconds_column():
    pictures = []
    for joint in ((0, 1), (1, 0)):
        env = make_env("matrix_game", {"key": "one_step"})
        env.reset(0)
        env.step(np.array(joint))
        pictures.append(env.render())
    centre = [(HEAD + (row + 0.15) * CELL, GAP + (col + 0.15) * CELL) for row, col in ((0, 1), (1, 0))]
    blue = [[picture[int(y), int(x), 2] for y, x in centre] for picture in pictures]  # yellow has little of it
    assert blue[0][0] == blue[1][1] == int(YELLOW[5:], 16) and blue[0][1] == blue[1][0] == 255


def test_an_imagined_observation_is_drawn_as_how_much_of_each_state_both_agents_see():
    env = make_env("matrix_game", {"key": "two_step"})
    env.reset(0)
    nothing, half, all_of_it = [0, 0, 0], [0, 0.5, 0], [0, 1, 0]
    seen = ((nothing, nothing), (half, nothing), (nothing, all_of_it))
    blank, first, second = (env.render_observation(np.array(obs)) for obs in seen)
    assert blank.shape == first.shape and blank.dtype == np.uint8
    changed = [(picture != blank).any(axis=-1).nonzero() for picture in (first, second)]
    state_1 = range(GAP + 2 * CELL + GAP, GAP + 2 * (2 * CELL + GAP))  # where its matrix stands, from left to right
    assert all(set(columns) <= set(state_1) for _, columns in changed)
    assert len(set(changed[0][1])) == CELL and len(set(changed[1][1])) >= 2 * CELL - 2  # half a bar, and a whole one
    assert max(changed[0][0]) < min(changed[1][0])  # the first agent's above the second's
    assert env.render_observation(np.array([[np.nan, np.inf, -5.0]] * 2)).shape == blank.shape
