"""A task of Gymnasium or PettingZoo as it was found at the door: its spaces, and what a trial episode showed of it.

The trial is played once per process, with random actions, before anything of a run is written: what does not fit is
told then.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from envs.action_spaces import random_actions
from envs.gym_actions import Team, team_of
from envs.gym_views import Reader, masks_by_method, numbers_in
from envs.gymma_games import Game, Shown
from envs.multiagentenv import ObsImage
from envs.task_code import MisfitError, one_line, running
from utils.errors import UserError

WINNING = ("battle_won", "is_success", "success")  # what infos call it when the team has won
TRIAL_STEPS = 200
LONG = 4096  # numbers of an observation, above which a note is due
TRIAL_SEEDS = (101, 102, 103)
BETWEEN = 50  # steps of an episode that is played between two of the same seed
CHEAP = 0.1  # seconds: an environment that is made as quickly is made anew for each episode, whatever its reset does


@dataclass(frozen=True)
class Task:
    """What all environments of a task share.

    `has_state`: the state is the environment's own, `state_size` numbers; `won`: the info that says that the team has
    won, if there is one; `figures`: the names of all numbers in infos; `remake`: whether each episode needs a new
    environment; `repeatable`: whether a seed repeats an episode; `notes`: what was found out, for the log and the
    archive.
    """

    where: str
    make: Callable[[], Game]
    names: Sequence[str]
    team: Team
    readers: Sequence[Reader]
    by_method: bool
    has_state: bool
    state_size: int
    won: str | None = None
    figures: tuple[str, ...] = ()
    remake: bool = True
    repeatable: bool = True
    notes: tuple[str, ...] = ()

    @cached_property
    def obs_shape(self) -> tuple[int, int]:
        """(N, obs_size): the latter is the length of the longest observation."""
        return len(self.readers), max(reader.size for reader in self.readers)

    @cached_property
    def images(self) -> tuple[ObsImage, ...]:
        """Pictures in observations, where all agents have the same ones in the same places."""
        first, *others = (reader.images for reader in self.readers)
        return first if all(other == first for other in others) else ()

    def views(self, game: Game, shown: Shown, over: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return obs (N, obs_size) float32 and avail_actions (N, W); raise `MisfitError` for what does not fit.

        An agent that is gone sees zeros. A mask that allows nothing is refused, but where the episode is over.
        """
        obs = np.zeros(self.obs_shape, dtype=np.float32)
        available = self.team.existing.copy()
        told = masks_by_method(game.env, self.names) if self.by_method else None
        for agent, (seen, info) in enumerate(zip(*shown, strict=True)):
            if seen is None:
                available[agent] = self.team.gone[agent]
                continue
            reader = self.readers[agent]
            obs[agent, : reader.size] = reader.vector(seen)
            mask = reader.mask(seen)
            if mask is None and info:
                mask = info.get("action_mask")
            if mask is None and told is not None:
                mask = told[agent]
            if mask is not None:
                available[agent] = self._masked(agent, mask, over)
        return obs, available

    def _masked(self, agent: int, mask: Any, over: bool) -> np.ndarray:
        if over and not np.any(np.concatenate([np.ravel(part) for part in mask])):
            return self.team.gone[agent]
        try:
            return self.team.masked(agent, mask)
        except MisfitError as why:
            raise MisfitError(f"agent {self.names[agent]}: {why}") from why

    def state(self, game: Game) -> np.ndarray:
        """Return the environment's own state: (`state_size`,) float32."""
        state = np.asarray(game.state(), dtype=np.float32).reshape(-1)
        if len(state) != self.state_size:
            raise MisfitError(f"state() has {len(state)} numbers, and had {self.state_size} before")
        return state


def find_out(where: str, make: Callable[[], Game], time_limit: int, state: str, mask_in_obs: bool, remake: str) -> Task:
    """Return what a task is, after a trial; raise `UserError`, which begins with `where`, for what cannot be played."""
    game, costs = _timed(make)
    steps = min(time_limit, TRIAL_STEPS)
    try:
        team = team_of(game.action_spaces)
        readers = [Reader(*each, mask_in_obs) for each in zip(game.names, game.obs_spaces, strict=True)]
        with running(f"{where}: reset({TRIAL_SEEDS[0]})"):
            game.reset(TRIAL_SEEDS[0])
            by_method = masks_by_method(game.env, game.names) is not None
            size = _state_size(game) if state == "auto" else 0
        task = Task(where, make, game.names, team, readers, by_method, size > 0, size)
        first = [*played(task, game, TRIAL_SEEDS[0], steps)]
        figures = sorted({name for told in first for name in told.figures})
        found = _repeats(remake, task, game, costs, [told.bytes for told in first])
    except MisfitError as why:
        raise UserError(f"{where}: {why}") from why
    finally:
        with running(f"{where}: close()"):
            game.env.close()
    won = next((name for name in WINNING if name in figures), None)
    size = size or int(np.prod(task.obs_shape))
    found["notes"] = (*_about_views(task), *found["notes"])
    return replace(task, state_size=size, won=won, figures=tuple(figures), **found)


def _about_views(task: Task) -> Iterator[str]:
    """Yield what is to be said of pictures and of long observations."""
    images, size = task.images, task.obs_shape[1]
    for image in images:
        yield (
            f"agents see a picture, {image.height} x {image.width} with {image.channels} channels"
            f"{', which come first' if image.channels_first else ''}: methods with dreams see it through convolutions"
        )
    if size > LONG:
        whom = " (by all methods but those with dreams)" if images else ""
        yield f"agents see {size} numbers, flattened{whom}: choose what they need, or smaller pictures"


def _timed(make: Callable[[], Game]) -> tuple[Game, float]:
    """Make a game, and say how many seconds that takes: the shorter of two times where it seems to take long."""
    times = []
    while not times or (len(times) == 1 and times[0] >= CHEAP):
        began = time.perf_counter()
        game = make()
        times.append(time.perf_counter() - began)
        if len(times) == 1 and times[0] >= CHEAP:
            game.env.close()
    return game, min(times)


def _state_size(game: Game) -> int:
    """Return the length of the environment's own state; 0 where it has none."""
    method = game.state
    try:
        return np.asarray(method(), dtype=np.float32).size if method is not None else 0
    except (NotImplementedError, TypeError, ValueError):  # PettingZoo's base class; another thing of this name
        return 0


@dataclass(frozen=True)
class Told:
    """One view of a trial, what led to it, as bytes, and the numbers in its infos."""

    bytes: tuple[Any, ...]
    figures: Mapping[str, float]


def played(task: Task, game: Game, seed: int, steps: int) -> Iterator[Told]:
    """Play an episode at random, no further than some steps; raise `UserError` for a fault in the task's code."""
    rng, step, over = np.random.default_rng(seed), 0, False
    try:
        with running(f"{task.where}: reset({seed})"):
            shown, result = game.reset(seed), None
        while True:
            when = f"in step {step} of the episode of seed {seed}"
            with running(f"{task.where}: {when}"):
                obs, available = task.views(game, shown, over)
            with running(f"{task.where}: state() (env_args.state=concat does without it), {when}"):
                state = task.state(game) if task.has_state else obs
            _refuse_not_finite(task, obs, state)
            yield Told((obs.tobytes(), available.tobytes(), state.tobytes(), result), numbers_in_shown(shown))
            if over or step >= steps:
                return
            step += 1
            actions = random_actions(task.team.space, available, rng)
            with running(f"{task.where}: in step {step} of the episode of seed {seed}, actions {one_line(actions)}"):
                shown, *result = game.step(task.team.native(actions))
            over = result[1] or result[2]
    except MisfitError as why:
        raise MisfitError(f"{why}, at step {step} of the episode of seed {seed}") from why


def _refuse_not_finite(task: Task, obs: np.ndarray, state: np.ndarray) -> None:
    """Raise `MisfitError` for NaN, and for what float32 does not hold."""
    if not np.isfinite(obs).all():
        agent, entry = np.argwhere(~np.isfinite(obs))[0].tolist()
        raise MisfitError(
            f"the observation of agent {task.names[agent]}, entry {entry} is {obs[agent, entry]} as float32"
        )
    if not np.isfinite(state).all():
        entry = np.flatnonzero(~np.isfinite(state))[0]
        raise MisfitError(f"state(), entry {entry} is {state.reshape(-1)[entry]} as float32")


def numbers_in_shown(shown: Shown) -> dict[str, float]:
    """Return the numbers in the infos of the agents that are there."""
    return numbers_in([info for info in shown.infos if info is not None])


def _repeats(remake: str, task: Task, game: Game, costs: float, first: list[Any]) -> dict[str, Any]:
    """Return `remake`, `repeatable` and `notes`: whether an episode is repeated by its seed, and in which environment.

    `first` is the trial that `game` has just played, and `costs` the seconds that making it took.
    """
    seed, *others = TRIAL_SEEDS
    steps = len(first) - 1
    again = remake == "always" or (remake == "auto" and costs < CHEAP)
    notes = []
    if not again:
        for other in others:
            for _ in played(task, game, other, min(steps, BETWEEN)):
                pass
        honest = first == [told.bytes for told in played(task, game, seed, steps)]
        again = remake == "auto" and not honest
        if remake == "auto" and honest:
            notes.append("env_args.remake=auto: reset(seed) alone repeats an episode: one environment plays them all")
        elif remake == "auto":
            notes.append(
                f"env_args.remake=auto: a new environment is made for each episode, which takes {costs:.2g} s: "
                "reset(seed) alone does not repeat one"
            )
    same = honest if not again else _anew(task, seed, steps) == _anew(task, seed, steps)
    if not same:
        notes.append(f"{task.where}: its episodes cannot be repeated: reset(seed) does not decide all that is random")
    return {"remake": again, "repeatable": same, "notes": tuple(notes)}


def _anew(task: Task, seed: int, steps: int) -> list[Any]:
    """Return the episode of a seed as a new environment plays it."""
    game = task.make()
    try:
        return [told.bytes for told in played(task, game, seed, steps)]
    finally:
        with running(f"{task.where}: close()"):
            game.env.close()
