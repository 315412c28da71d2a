"""Small two-agent matrix games with known solutions: their payoffs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MatrixGame:
    """A game of one or two steps that begins in state 0.

    `payoffs[state][a0][a1]` is the team reward. With `successors`, agent 0's first action picks the state of
    the second and last step.
    """

    payoffs: tuple[tuple[tuple[float, ...], ...], ...]
    successors: tuple[int, ...] = ()


GAMES: dict[str, MatrixGame] = {
    # Each agent has a good, a middling and a bad action whatever the other does: additive and monotonic
    # mixers, and independent learners, all find (2, 1), worth 8.
    "one_step": MatrixGame(payoffs=(((3, 5, 2), (2, 3, 1), (5, 8, 3)),)),
    # Two conventions that are equally good: agents that have settled on different ones get nothing.
    "coordination": MatrixGame(payoffs=(((1, 0), (0, 1)),)),
    # QMIX (Rashid et al., 2018): a sure 7 behind action 0, or 8 behind action 1 if both then choose 1.
    "two_step": MatrixGame(payoffs=(((0, 0), (0, 0)), ((7, 7), (7, 7)), ((0, 1), (1, 8))), successors=(1, 2)),
    # Claus and Boutilier (1998): the best joint action is surrounded by large losses.
    "climbing": MatrixGame(payoffs=(((11, -30, 0), (-30, 7, 6), (0, 0, 5)),)),
    # The same paper, penalty k = -100: two best joint actions, and a loss when the agents mix them.
    "penalty": MatrixGame(payoffs=(((10, 0, -100), (0, 2, 0), (-100, 0, 10)),)),
    # QTRAN (Son et al., 2019), weighted QMIX (Rashid et al., 2020): no monotonic mixing of values has its maximum.
    "nonmonotonic": MatrixGame(payoffs=(((8, -12, -12), (-12, 0, 0), (-12, 0, 0)),)),
}
