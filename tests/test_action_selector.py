"""ε-greedy actions and how ε falls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.action_selectors import repeat_exploration, select_epsilon_greedy, select_preferred
from components.epsilon_schedules import DecayThenFlatSchedule

ALMOST_ONE = np.nextafter(1.0, 0.0)
finite = st.floats(-1e6, 1e6, width=32)


@st.composite
def situations(draw):
    """Values, availability with at least one action per agent, and draws, borders included."""
    n, N, A = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    q = draw(arrays.arrays(np.float32, (n, N, A), elements=finite))
    avail = draw(arrays.arrays(np.bool_, (n, N, A)))
    always = draw(arrays.arrays(np.int64, (n, N, 1), elements=st.integers(0, A - 1)))
    np.put_along_axis(avail, always, True, axis=-1)
    uniform = st.one_of(st.sampled_from([0.0, 0.5, ALMOST_ONE]), st.floats(0, ALMOST_ONE))
    return q, avail, draw(arrays.arrays(np.float64, (n, 2, N), elements=uniform))


def random_situation(n, N=3, A=6, seed=0):
    rng = np.random.default_rng(seed)
    avail = rng.random((n, N, A)) < 0.5
    avail[..., 2] = True
    return rng.normal(size=(n, N, A)).astype(np.float32), avail, rng.random((n, 2, N))


def greedy(q, avail):
    """The best available action, found the slow way."""
    actions = np.zeros(q.shape[:2], dtype=np.int64)
    for place in np.ndindex(q.shape[:2]):
        allowed = np.flatnonzero(avail[place])
        actions[place] = allowed[q[place][allowed].argmax()]
    return actions


@given(situations(), st.floats(0, 1))
def test_an_unavailable_action_is_never_taken(situation, epsilon):
    q, avail, draws = situation
    actions = select_epsilon_greedy(q, avail, epsilon, draws)
    assert actions.shape == q.shape[:2] and actions.dtype == np.int64
    assert np.take_along_axis(avail, actions[..., None], axis=-1).all()


@given(situations())
def test_epsilon_zero_takes_the_best_available_action(situation):
    q, avail, draws = situation
    assert np.array_equal(select_epsilon_greedy(q, avail, 0.0, draws), greedy(q, avail))
    assert np.array_equal(select_epsilon_greedy(q, avail, 0.0, None), greedy(q, avail))


def test_epsilon_one_draws_evenly_from_the_available_actions():
    q, _, draws = random_situation(n=6000, N=1, A=7)
    avail = np.zeros(q.shape, dtype=bool)
    allowed = [1, 2, 4, 6]
    avail[..., allowed] = True
    counts = np.bincount(select_epsilon_greedy(q, avail, 1.0, draws)[:, 0], minlength=7)
    assert counts.sum() == counts[allowed].sum() == 6000
    chi_square = ((counts[allowed] - 1500) ** 2 / 1500).sum()
    assert chi_square < 16.3  # 3 degrees of freedom: exceeded by chance once in 1000


def test_epsilon_is_the_share_of_random_actions():
    q, avail, draws = random_situation(n=20_000)
    avail[:] = True
    share = (select_epsilon_greedy(q, avail, 0.3, draws) != greedy(q, avail)).mean()
    assert share == pytest.approx(0.3 * 5 / 6, abs=0.005)


def test_every_agent_explores_for_itself():
    q, avail, draws = random_situation(n=200)
    draws[:, 0] = [0.0, 0.4, 0.9]
    actions, best = select_epsilon_greedy(q, avail, 0.4, draws), greedy(q, avail)
    assert (actions[:, 0] != best[:, 0]).any()
    assert np.array_equal(actions[:, 1:], best[:, 1:])


def test_the_second_draw_picks_among_the_available_actions_in_order():
    q = np.zeros((4, 1, 5), dtype=np.float32)
    avail = np.tile([False, True, True, False, True], (4, 1, 1))
    draws = np.zeros((4, 2, 1))
    draws[:, 1, 0] = [0.0, 0.34, 0.67, ALMOST_ONE]
    assert select_epsilon_greedy(q, avail, 1.0, draws)[:, 0].tolist() == [1, 2, 4, 4]


def test_exploring_without_draws_is_refused():
    q, avail, _ = random_situation(n=1)
    with pytest.raises(AssertionError):
        select_epsilon_greedy(q, avail, 0.1, None)


def test_epsilon_falls_linearly_and_then_stays():
    schedule = DecayThenFlatSchedule(1.0, 0.1, 1000)
    assert schedule.eval(0) == 1.0
    assert schedule.eval(250) == pytest.approx(0.775)
    assert schedule.eval(500) == pytest.approx(0.55)
    assert schedule.eval(999) == pytest.approx(0.1009)
    assert schedule.eval(1000) == schedule.eval(10**9) == 0.1


def repeated(draws, epsilon, exponent):
    """Agent by agent, step by step: when it explores, and by which preferences."""
    n, T, width, N = draws.shape
    weights = [k ** -exponent for k in range(1, 10_001)]
    total = sum(weights)
    result = np.zeros((n, T, width - 1, N))
    for episode, agent in np.ndindex(n, N):
        left, liked = 0, None
        for t in range(T):
            begin, length, *preferences = draws[episode, t, :, agent]
            if left == 0 and begin < epsilon:
                left, reached = 1, weights[0] / total
                while reached <= length and left < T:
                    reached += weights[left] / total
                    left += 1
                liked = preferences
            if left > 0:
                result[episode, t, 0, agent], left = 1, left - 1
            if liked is not None:
                result[episode, t, 1:, agent] = liked
    return result


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0])
def test_random_actions_are_repeated_as_in_the_slow_form(epsilon):
    draws = np.random.default_rng(3).random((7, 40, 2 + 4, 3))
    fast, slow = repeat_exploration(draws, epsilon, 2.0), repeated(draws, epsilon, 2.0)
    explores = slow[:, :, 0] > 0
    assert np.array_equal(fast[:, :, 0] > 0, explores)
    assert np.array_equal(fast.swapaxes(2, 3)[explores], slow.swapaxes(2, 3)[explores])
    assert 0 < explores.mean() if epsilon < 1 else explores.all()


def test_lengths_of_repeats_are_those_of_zeta():
    draws = np.random.default_rng(4).random((4000, 60, 3, 1))
    explores = repeat_exploration(draws, 0.01, 2.0)[:, :, 0, 0] > 0
    liked = repeat_exploration(draws, 0.01, 2.0)[:, :, 1, 0]
    begins = explores[:, 1:50] & ~explores[:, :49]
    stays = explores[:, 2:51] & (liked[:, 2:51] == liked[:, 1:50])
    assert (stays & begins).sum() / begins.sum() == pytest.approx(1 - 6 / np.pi**2, abs=0.03)  # P(n > 1)


def test_who_explores_takes_the_available_action_that_it_likes_best():
    q, avail, _ = random_situation(n=200)
    draws = np.random.default_rng(5).random((200, 1 + 6, 3))
    draws[:, 0] = draws[:, 0] < 0.5
    actions = select_preferred(q, avail, draws)
    liked = greedy(draws[:, 1:].swapaxes(1, 2), avail)
    assert np.array_equal(actions, np.where(draws[:, 0] > 0, liked, greedy(q, avail)))
    assert 0.3 < draws[:, 0].mean() < 0.7
