"""Cross-play: agents that were trained apart, in one team, on the same episodes whoever plays them.

Hu et al., «"Other-Play" for Zero-Shot Coordination» (ICML 2020), §2: self-play is a run's agents among themselves,
cross-play is a team of agents from runs that never met.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comparison.archives import ArchivedRun
from comparison.intervals import Summary, summary
from comparison.pooling import variants
from deployment.agents import CONFIG_DIR, load_agents
from deployment.team import Team, refuse_dependent
from envs import check_archived, env_path
from runners import REGISTRY as RUNNERS
from runners.base_runner import BaseRunner, EpisodeResult, Limits
from settings import archived_settings, flat, read_json
from training.checkpoint import NUMBERS, find_checkpoint, run_folder_of
from training.seeding import Stream, episode_streams
from utils.errors import UserError
from utils.timing import PhaseClock

AT_ONCE = 32  # episodes that environments in this process play together, or as many as the run had
RUNS_IN_TURN = ("episode", "ray")  # runners in whose place the default one plays


@dataclass(frozen=True)
class Player:
    """The agents of one checkpoint: how tables name them, the method's name there, and their controller."""

    path: str
    label: str
    method: str
    mac: Any


@dataclass(frozen=True)
class Pairing:
    """The episodes that two players played together: `row` at the first seats, `column` at the last ones."""

    row: int
    column: int
    results: Sequence[EpisodeResult]

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted returns, (episodes,)."""
        return np.array([result.episode_return for result in self.results])


@dataclass(frozen=True)
class Between:
    """How two methods fare together: the mean over pairs of their runs, or over runs with themselves (`self_play`)."""

    row: str
    column: str
    self_play: bool
    value: Summary


def task_settings(paths: Sequence[str], changes: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the first run, whose task all play, changed as `changes` say.

    Raises `UserError` where another run has learnt another task, unless `changes` say what to play.
    """
    each = [archived_settings(run_folder_of(find_checkpoint(path)), changes, CONFIG_DIR) for path in paths]
    first = _task_of(each[0])
    for path, settings in zip(paths[1:], each[1:], strict=True):
        other = _task_of(settings)
        differing = [key for key in first.keys() | other.keys() if first.get(key) != other.get(key)]
        if differing:
            key = min(differing)
            say = "" if key == "env" else f", or say what to play: with {key}={shlex.quote(str(first.get(key)))}"
            raise UserError(
                f"{path} has learnt with {key}={other.get(key)}, and {paths[0]} with {first.get(key)}: give runs of "
                f"one task{say}"
            )
    check_archived(each[0]["env"], each[0]["env_args"])
    return each[0]


def _task_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    return flat({"env": settings["env"], "env_args": settings["env_args"]})


def open_runner(settings: Mapping[str, Any], episodes: int) -> BaseRunner:
    """Return a runner of the task, for as many episodes at once as that takes; the caller closes it."""
    name = "vector" if settings["runner"] in RUNS_IN_TURN else settings["runner"]
    at_once = max(settings["batch_size_run"], AT_ONCE) if name == "vector" else settings["batch_size_run"]
    limits = Limits(*(settings[key] for key in ("max_losses_in_a_row", "env_timeout", "max_env_restarts")))
    made: Any = RUNNERS[name]
    return made(env_path(settings["env"]), settings["env_args"], min(at_once, episodes), PhaseClock(), limits)


def load_players(paths: Sequence[str], runner: BaseRunner) -> list[Player]:
    """Return the players of the checkpoints or runs at `paths`, for the task of a runner.

    Raises `UserError` for agents that cannot play there, or with others.
    """
    macs, runs, steps = [], [], []
    for path in paths:
        checkpoint = find_checkpoint(path)
        folder = run_folder_of(checkpoint)
        agents = load_agents(checkpoint, runner.info)
        refuse_dependent(path, agents.algorithm, agents.mac)
        macs.append(agents.mac)
        runs.append(ArchivedRun(folder, archived_settings(folder, {}, CONFIG_DIR)))
        steps.append(read_json(checkpoint / NUMBERS)["t_env"])
    methods = _methods(runs)
    names = [f"{method}, seed {run.config['seed']}" for method, run in zip(methods, runs, strict=True)]
    names = [_apart(name, names, f", {t} steps", at) for at, (name, t) in enumerate(zip(names, steps, strict=True))]
    names = [_apart(name, names, f" #{at + 1}", at) for at, name in enumerate(names)]
    return [Player(*each) for each in zip(paths, names, methods, macs, strict=True)]


def _methods(runs: Sequence[ArchivedRun]) -> list[str]:
    methods = [""] * len(runs)
    for algorithm in dict.fromkeys(run.algorithm for run in runs):
        places = [at for at, run in enumerate(runs) if run.algorithm == algorithm]
        for variant in variants(algorithm, [runs[at] for at in places]):
            for at in variant.places:
                methods[places[at]] = variant.label
    return methods


def _apart(name: str, names: Sequence[str], more: str, place: int) -> str:
    return name + more if names.count(name) > 1 else name


def play_team(runner: BaseRunner, macs: Sequence[Any], episodes: int, seed: int) -> list[EpisodeResult]:
    """Play greedy episodes with a controller at each seat; they hang on `seed` and their number alone."""
    team = Team(macs)
    streams = [episode_streams(seed, Stream.TEST_EPISODE, 0, number) for number in range(episodes)]
    results: list[EpisodeResult] = []
    for first in range(0, episodes, runner.batch_size):
        results += runner.run(team, streams[first : first + runner.batch_size], epsilon=0.0)[1]
    return results


def play_pairs(
    runner: BaseRunner, players: Sequence[Player], guests: int, episodes: int, seed: int, told: Callable[[], object]
) -> list[Pairing]:
    """Play every player with every other and with itself; the column's agents have the last `guests` seats."""
    hosts, pairings = runner.info.n_agents - guests, []
    for row, host in enumerate(players):
        for column, guest in enumerate(players):
            results = play_team(runner, [host.mac] * hosts + [guest.mac] * guests, episodes, seed)
            pairings.append(Pairing(row, column, results))
            told()
    return pairings


def check_seats(task: str, n_agents: int, guests: int | None, team: int | None) -> int:
    """Return how many seats a column's agents have; raise `UserError` where these seats are not there.

    `guests` is what was asked for, and `team` how many runs were given for one team, None for a matrix.
    """
    if n_agents < 2:
        raise UserError(f"{task} has one agent, and nobody to play with")
    if team is not None and team != n_agents:
        raise UserError(f"--team: {task} has {n_agents} agents, and {team} runs are given: one for each, in order")
    if guests is not None and guests >= n_agents:
        raise UserError(f"--guests {guests}: {task} has {n_agents} agents, of whom 1 to {n_agents - 1} can be guests")
    return n_agents // 2 if guests is None else guests


def has_methods(players: Sequence[Player]) -> bool:
    """Say whether a method has several runs."""
    return len({player.method for player in players}) < len(players)


def between_methods(players: Sequence[Player], pairings: Iterable[Pairing]) -> list[Between]:
    """Return how methods fare together, nothing where each has one run alone.

    Cross-play of a method with itself is over pairs of different runs.
    """
    if not has_methods(players):
        return []
    means: dict[tuple[str, str, bool], list[float]] = {}
    for pair in pairings:
        key = players[pair.row].method, players[pair.column].method, pair.row == pair.column
        means.setdefault(key, []).append(float(pair.returns.mean()))
    return [Between(*key, summary(np.array(values), "mean_interval")) for key, values in means.items()]
