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
from envs.task_code import MisfitError, one_line, running
from utils.errors import UserError

WINNING = ("battle_won", "is_success", "success")  # what infos call it when the team has won
TRIAL_STEPS = 200
TRIAL_SEEDS = (101, 102)
CHEAP = 0.02  # seconds: an environment that is made as quickly is made anew for each episode, whatever its reset does


@dataclass(frozen=True)
class Task:
    """What all environments of a task share.

    `has_state`: the state is the environment's own, `state_size` numbers; `won`: the info that says that the team has
    won, if there is one; `figures`: the names of all numbers in infos; `remake`: whether each episode needs a new
    environment; `notes`: what was found out, for the log and the archive.
    """

    where: str
    make: Callable[[], Game]
    names: Sequence[str]
    team: Team
    readers: Sequence[Reader]
    by_method: bool
    has_state: bool
    state_size: int
    won: str | None
    figures: tuple[str, ...]
    remake: bool
    notes: tuple[str, ...]

    @cached_property
    def obs_shape(self) -> tuple[int, int]:
        """(N, obs_size): the latter is the length of the longest observation."""
        return len(self.readers), max(reader.size for reader in self.readers)

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
        state = np.asarray(game.state()(), dtype=np.float32).reshape(-1)
        if len(state) != self.state_size:
            raise MisfitError(f"state() has {len(state)} numbers, and had {self.state_size} before")
        return state


def find_out(where: str, make: Callable[[], Game], time_limit: int, state: str, mask_in_obs: bool, remake: str) -> Task:
    """Return what a task is, after a trial; raise `UserError`, which begins with `where`, for what cannot be played."""
    began = time.perf_counter()
    game = make()
    costs = time.perf_counter() - began
    steps = min(time_limit, TRIAL_STEPS)
    try:
        team = team_of(game.action_spaces)
        readers = [Reader(*each, mask_in_obs) for each in zip(game.names, game.obs_spaces, strict=True)]
        settled = Task(where, make, game.names, team, readers, False, False, 0, None, (), True, ())
        with running(f"{where}: reset({TRIAL_SEEDS[0]})"):
            game.reset(TRIAL_SEEDS[0])
            by_method = masks_by_method(game.env, game.names) is not None
            size = _state_size(game) if state == "auto" else 0
        settled = replace(settled, by_method=by_method, has_state=size > 0, state_size=size)
        figures = sorted({name for told in played(settled, game, TRIAL_SEEDS[0], steps) for name in told.figures})
        again, notes = _remake(remake, settled, game, costs, steps)
    except MisfitError as why:
        raise UserError(f"{where}: {why}") from why
    finally:
        with running(f"{where}: close()"):
            game.env.close()
    won = next((name for name in WINNING if name in figures), None)
    size = size or int(np.prod(settled.obs_shape))
    return replace(settled, state_size=size, won=won, figures=tuple(figures), remake=again, notes=notes)


def _state_size(game: Game) -> int:
    """Return the length of the environment's own state; 0 where it has none."""
    method = game.state()
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
            with running(f"{task.where}: in step {step} of the episode of seed {seed}"):
                obs, available = task.views(game, shown, over)
                state = task.state(game) if task.has_state else obs
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


def numbers_in_shown(shown: Shown) -> dict[str, float]:
    """Return the numbers in the infos of the agents that are there."""
    return numbers_in([info for info in shown.infos if info is not None])


def _remake(remake: str, task: Task, game: Game, costs: float, steps: int) -> tuple[bool, tuple[str, ...]]:
    """Say whether each episode needs a new environment, and what has been found out of that."""
    if remake != "auto":
        return remake == "always", ()
    if costs < CHEAP:
        return True, ()
    first, second = TRIAL_SEEDS
    before, _, after = ([told.bytes for told in played(task, game, s, steps)] for s in (first, second, first))
    if before == after:
        return False, ("env_args.remake=auto: reset(seed) alone repeats an episode: one environment plays them all",)
    why = f"it takes {costs:.2g} s each time, and reset(seed) alone does not repeat an episode"
    return True, (f"env_args.remake=auto: a new environment is made for each episode: {why}",)
