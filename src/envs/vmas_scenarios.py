"""VMAS's scenarios as Gymnasium's environments of several agents: importing this registers them as `vmas-balance` etc.

VMAS steps many copies of a scenario in the same calls of Torch, which takes hardly longer than one. But one generator
serves all, and groups of other sizes round differently. So copies lie in groups of `WIDTH`, one alone too: then an
episode is the same, to the bit, in every slot and beside whatever the others do. That is tried for each scenario with
its arguments; what fails (it draws in its steps, or keeps something between episodes) has a group for each copy.

VMAS asks for the old `gym` and takes nothing but spaces of it: it is given Gymnasium's in its place, whether or not the
old one is there. Actions are discrete unless `continuous_actions`, as in EPyMARL.
"""

import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import torch as th

from envs.gymma_games import Shown, Step
from envs.task_code import MisfitError

WIDTH = 32
TRIAL = 20  # steps of an episode that is compared
STARTS = 8  # episodes whose beginnings are compared
DRAWS = (
    "it draws at random in its steps, and copies that are stepped together share their draws: say "
    "env_args.kwargs.together=False"
)


@contextmanager
def _gymnasium_for_gym() -> Iterator[None]:
    before = sys.modules.get("gym")
    sys.modules["gym"] = gymnasium
    try:
        yield
    finally:
        del sys.modules["gym"]
        if before is not None:
            sys.modules["gym"] = before


with _gymnasium_for_gym():
    import vmas
    from vmas.simulator.environment import Environment


class _Group:
    """Some copies that the package steps in one call. Their draws come from a generator that no other group has."""

    def __init__(self, width: int, begun: int, scenario: str, continuous_actions: bool, **kwargs: Any) -> None:
        self.state = _generators(begun)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Scenario kwargs: .* not used")  # a mistyped one
            warnings.filterwarnings("ignore", message="Box")
            self.env = self._drawing(
                vmas.make_env, scenario, width, "cpu", continuous_actions, terminated_truncated=True, **kwargs
            )
        self._given = [
            np.zeros((width, max(1, int(np.prod(each.shape)))), np.float32) for each in self.env.action_space
        ]

    def reset(self, places: Sequence[int], seeds: Sequence[int]) -> list[Shown]:
        """Begin an episode in some places."""
        for place, seed in zip(places, seeds, strict=True):
            self.state = _generators(int(seed) % 2**32)
            if self.env.num_envs == 1:
                self._drawing(self.env.reset, return_observations=False)
            else:
                self._drawing(self.env.reset_at, place, return_observations=False)
        # Infos are of steps: beside others they would tell of the last one of the episode before.
        (seen,) = self._drawing(
            self.env.get_from_scenario, get_observations=True, get_infos=False, get_rewards=False, get_dones=False
        )
        return [_shown(seen, [{} for _ in seen], place) for place in places]

    def step(self, places: Sequence[int], actions: Sequence[Sequence[Any]]) -> list[Step]:
        """Take joint actions in some places; in the others the last ones again, and nobody reads what comes of it."""
        for agent, given in enumerate(self._given):
            given[list(places)] = [np.reshape(joint[agent], -1) for joint in actions]
        seen, rewards, terminated, truncated, infos = self._drawing(
            self.env.step, [th.as_tensor(given.copy()) for given in self._given]
        )
        each = [reward.reshape(len(terminated)).tolist() for reward in rewards]
        return [
            Step(
                _shown(seen, infos, place),
                [own[place] for own in each],
                bool(terminated[place]),
                bool(truncated[place]),
            )
            for place in places
        ]

    def _drawing(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        shared = Environment.vmas_random_state
        shared[:] = self.state
        told = call(*given, **named)
        self.state = list(shared)
        return told


class Copies:
    """n copies of a scenario in slots 0, 1, …, in groups of `width`; each plays an episode of its own.

    `begun` is the seed of what is drawn once, when a group is made.
    """

    def __init__(
        self, n: int, width: int, scenario: str, continuous_actions: bool = False, begun: int = 0, **kwargs: Any
    ) -> None:
        self._width = width
        self.groups = [_Group(width, begun, scenario, continuous_actions, **kwargs) for _ in range(-(-n // width))]

    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[Shown]:
        """Begin an episode in each of some slots, with the draws that its seed alone decides."""
        return self._in_groups("reset", slots, seeds)

    def step(self, slots: Sequence[int], actions: Sequence[Sequence[Any]]) -> list[Step]:
        """Take joint actions, a member of each agent's space, in some slots.

        Raises `MisfitError` where one has drawn from what all in a group share.
        """
        before = [group.state for group in self.groups]
        told = self._in_groups("step", slots, actions)
        if self._width > 1 and not all(map(_same, before, (group.state for group in self.groups))):
            raise MisfitError(DRAWS)
        return told

    def _in_groups(self, what: str, slots: Sequence[int], given: Sequence[Any]) -> list[Any]:
        told: dict[int, Any] = {}
        for number, group in enumerate(self.groups):
            mine = [at for at, slot in enumerate(slots) if slot // self._width == number]
            if mine:
                places = [slots[at] % self._width for at in mine]
                told |= zip(mine, getattr(group, what)(places, [given[at] for at in mine]), strict=True)
        return [told[at] for at in range(len(slots))]


class Scenario(gymnasium.Env):
    """One copy of a scenario, alone in a group; `together=False` makes that a group of one."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        scenario: str,
        continuous_actions: bool = False,
        together: bool = True,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.render_mode = render_mode
        width = width_of(scenario, continuous_actions, together, **kwargs)
        self._copies = Copies(1, width, scenario, continuous_actions, **kwargs)
        self._env = self._copies.groups[0].env
        self.action_space, self.observation_space = self._env.action_space, self._env.observation_space

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """Begin an episode."""
        (shown,) = self._copies.reset([0], [seed or 0])
        return tuple(shown.seen), shown.infos

    def step(self, actions: Sequence[Any]) -> tuple[Any, ...]:
        """Take the joint action, one member of each agent's space."""
        (told,) = self._copies.step([0], [actions])
        return tuple(told.shown.seen), told.rewards, told.terminated, told.truncated, told.shown.infos

    def render(self) -> np.ndarray:
        """Return the package's picture."""
        return self._env.render(mode="rgb_array")


def width_of(scenario: str, continuous_actions: bool = False, together: bool = True, **kwargs: Any) -> int:
    """Return how many copies a group holds of a scenario with the arguments of `Scenario`: `WIDTH`, or 1."""
    return WIDTH if together and _plays_apart(scenario, continuous_actions, json.dumps(kwargs)) else 1


@cache
def _plays_apart(scenario: str, continuous_actions: bool, kwargs: str) -> bool:
    """Say whether an episode is the same in a new group and in two places of another, beside others.

    All others are in the middle of theirs then, and one of them begins anew now and then. Episodes must also begin as
    those of a copy that is reset with all of its world: some scenarios draw a goal for all copies then.
    """
    given = json.loads(kwargs)
    fresh, used, whole = (
        Copies(n, n, scenario, continuous_actions, begun, **given) for begun, n in enumerate((WIDTH, WIDTH, 1))
    )
    try:
        alone = _episode(fresh, 0, others=[])
        used.reset(range(WIDTH), range(WIDTH))
        begin = all(_begins_alike(whole.reset([0], [seed])[0], used.reset([2], [seed])[0]) for seed in range(STARTS))
        return begin and all(_equal(alone, _episode(used, place, others=range(WIDTH))) for place in (WIDTH - 1, 1))
    except MisfitError:
        return False


def _begins_alike(one: Shown, other: Shown) -> bool:
    return all(np.allclose(mine, theirs, atol=1e-5) for mine, theirs in zip(one.seen, other.seen, strict=True))


def _episode(copies: Copies, place: int, others: Sequence[int]) -> list[Step]:
    mine, theirs = np.random.default_rng(1), np.random.default_rng(place)
    spaces, slots = copies.groups[0].env.action_space, sorted({place, *others})
    (shown,) = copies.reset([place], [1])
    told = [Step(shown, [], False, False)]
    for step in range(TRIAL):
        if others and step % 5 == 4:
            copies.reset([(place + step) % WIDTH], [step])
        joint = {slot: [_drawn(each, mine if slot == place else theirs) for each in spaces] for slot in slots}
        told.append(copies.step(slots, [joint[slot] for slot in slots])[slots.index(place)])
    return told


def _drawn(space: gymnasium.Space, rng: np.random.Generator) -> Any:
    if isinstance(space, gymnasium.spaces.Box):
        return rng.uniform(space.low, space.high).astype(np.float32)
    return rng.integers(space.nvec if isinstance(space, gymnasium.spaces.MultiDiscrete) else space.n)


def _equal(one: Sequence[Step], other: Sequence[Step]) -> bool:
    return all(
        mine[1:] == theirs[1:]
        and mine.shown.infos == theirs.shown.infos
        and all(map(np.array_equal, mine.shown.seen, theirs.shown.seen))
        for mine, theirs in zip(one, other, strict=True)
    )


def _shown(seen: Sequence[th.Tensor], infos: Sequence[Mapping[str, Any]], place: int) -> Shown:
    """Return what a copy shows: views, and the single numbers in each agent's info."""
    figures = [
        {name: float(value[place]) for name, value in info.items() if isinstance(value, th.Tensor) and _single(value)}
        for info in infos
    ]
    return Shown([each[place].numpy() for each in seen], figures)


def _single(value: th.Tensor) -> bool:
    return value.ndim > 0 and value[0].numel() == 1


def _generators(seed: int) -> list[Any]:
    """Return the states of Torch's, NumPy's and Python's generators, as the package keeps them, for a seed."""
    return [
        th.Generator().manual_seed(seed).get_state(),
        np.random.RandomState(seed).get_state(),
        random.Random(seed).getstate(),
    ]


def _same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Say whether the package's three generators, Torch's, NumPy's and Python's, stand where they stood."""
    numpys = all(np.array_equal(one, other) for one, other in zip(before[1], after[1], strict=True))
    return th.equal(before[0], after[0]) and numpys and before[2] == after[2]


for name in (*vmas.scenarios, *vmas.debug_scenarios, *vmas.mpe_scenarios):
    gymnasium.register(f"vmas-{name}", entry_point=Scenario, kwargs={"scenario": name})
