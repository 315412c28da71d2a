"""The one loop that plays episodes; runners differ only in where their environments live.

Letters: n episodes at once, T the episode limit, N agents; an action is one number or C or P, see `envs.action_spaces`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

from components.episode_batch import EpisodeBatch, Rows, Scheme, episode_scheme
from envs.multiagentenv import EnvInfo, EpisodeLostError, Outcome, View
from runners.finite import check_finite
from utils.errors import RunFailedError
from utils.stopping import StopRequest

Streams = Sequence[tuple[int, np.random.Generator]]


@dataclass(frozen=True)
class EpisodeResult:
    """One episode in numbers: its environment seed, undiscounted return, length in steps, and how it ended.

    `info` is what the environment said with the last step. Where agents have rewards of their own, `agent_returns` are
    their returns, and `episode_return` the sum.
    """

    seed: int
    episode_return: float
    length: int
    truncated: bool
    info: Mapping[str, float]
    agent_returns: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Limits:
    """How much may go wrong with environments before the run ends; each is the setting of its name.

    `max_losses_in_a_row`: how often one episode may be played again. `env_timeout`: seconds that a worker may take to
    answer. `max_env_restarts`: how often one worker may be started anew within an hour.
    """

    max_losses_in_a_row: int
    env_timeout: float
    max_env_restarts: int


@dataclass(frozen=True)
class _Round:
    """Episodes that are played together: who acts and how, from which seeds and draws, and where they are written."""

    mac: Any
    epsilon: float
    seeds: Sequence[int]
    draws: np.ndarray | None  # (n, T, …), the controller's
    batch: EpisodeBatch
    results: list[Any]

    def rows(self, slots: list[int]) -> Rows:
        """Return slots as an index of the episodes; NumPy is quicker with a slice than with a list."""
        return slice(None) if len(slots) == len(self.seeds) else slots


class BaseRunner(ABC):
    """Plays up to `batch_size` episodes at once with one controller.

    An episode that its environment loses is played again from its beginning with the same streams, once those beside
    it have ended; `Limits.max_losses_in_a_row` says how often. `stop`, once it is there, is asked before every step.
    """

    stop: StopRequest | None = None

    def __init__(self, info: EnvInfo, batch_size: int, clock: Any, limits: Limits) -> None:
        self.info, self.batch_size, self.clock, self.limits = info, batch_size, clock, limits
        self.episodes_lost, self.env_restarts = 0, 0
        self.groups = {"agents": info.n_agents}
        self.scheme = self._scheme(None)
        self.max_seq_length = info.episode_limit + 1

    def _scheme(self, float_dtype: th.dtype | None) -> Scheme:
        info = self.info
        return episode_scheme(
            obs_size=info.obs_size,
            state_size=info.state_size,
            n_actions=info.n_actions,
            obs_dtype=torch_dtype(info.obs_dtype),
            state_dtype=torch_dtype(info.state_dtype),
            action_size=info.action_space.size,
            continuous=info.action_space.kind == "continuous",
            n_rewards=info.n_rewards,
            state_of_obs=info.state_of_obs,
            float_dtype=float_dtype,
        )

    def keep_floats_as(self, dtype: th.dtype) -> None:
        """Write observations and states in another floating-point dtype from now on; agents act on what is written."""
        self.scheme = self._scheme(dtype)

    def check_stop(self) -> None:
        """Raise what `stop` says must end the run, in the middle of an episode: played again, it is the same."""
        if self.stop is not None:
            self.stop.check()

    @abstractmethod
    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> list[View | EpisodeLostError]:
        """Start an episode in each of some slots."""

    @abstractmethod
    def _step(self, slots: Sequence[int], actions: np.ndarray) -> list[Outcome | EpisodeLostError]:
        """Take the joint actions (n, …) in some slots, in order."""

    @abstractmethod
    def _env_stats(self) -> dict[str, float]:
        """Return the environments' own numbers, summed."""

    @abstractmethod
    def save_replays(self, folder: Path) -> None:
        """Write each environment's replay, in the game's own format, into `folder`/0, `folder`/1, …"""

    @abstractmethod
    def close(self) -> None:
        """End every environment and process; calling it twice does no harm."""

    def get_stats(self) -> dict[str, float]:
        """Return numbers of the runner's whole life, and what its environments count.

        `episodes_lost`: unfinished episodes thrown away; `env_restarts`: workers started anew, 0 without workers.
        """
        ours = {"episodes_lost": float(self.episodes_lost), "env_restarts": float(self.env_restarts)}
        return ours | self._env_stats()

    def run(self, mac: Any, streams: Streams, epsilon: float) -> tuple[EpisodeBatch, list[EpisodeResult]]:
        """Play one episode per stream, all at once.

        Args:
            mac: a controller, see `BasicMAC.draws` and `BasicMAC.select_actions`.
            streams: per episode its environment seed and the generator of its exploration; at most `batch_size`.
            epsilon: how much the controller explores; 0 is greedy.

        Returns:
            The episodes as a batch on the CPU, and their results, in the order of the streams.

        Raises `RunFailedError` when the same episode is lost too often.
        """
        n = len(streams)
        assert 0 < n <= self.batch_size, (n, self.batch_size)
        self.clock.lap("other")
        batch = EpisodeBatch(self.scheme, self.groups, n, self.max_seq_length)
        draws = mac.draws([generator for _, generator in streams], self.info.episode_limit, epsilon)
        together = _Round(mac, epsilon, [seed for seed, _ in streams], draws, batch, [None] * n)
        self.clock.lap("batch")
        slots, attempts = list(range(n)), 0
        while slots:
            lost, attempts = self._play(together, slots), attempts + 1
            slots = sorted(lost)
            self.episodes_lost += len(slots)
            batch.storage[slots] = 0
            if slots and attempts > self.limits.max_losses_in_a_row:
                raise failed_run(
                    f"the episode of seed {together.seeds[slots[0]]} was lost {attempts} times in a row, at last with: "
                    f"{lost[slots[0]]} (max_losses_in_a_row={self.limits.max_losses_in_a_row})",
                    lost[slots[0]],
                )
        return batch, together.results

    def _play(self, together: _Round, slots: list[int]) -> dict[int, EpisodeLostError]:
        """Play the episodes of some slots from their beginning; return by slot why one was lost."""
        batch, returns, lost = together.batch, np.zeros((len(together.seeds), self.info.n_rewards)), {}
        active, t = slots, 0
        views = self._reset(active, [together.seeds[slot] for slot in active])
        active, views = _pick(_kept(active, views, lost), active, views)
        self.clock.lap("env")
        hidden = together.mac.init_hidden(len(active))
        if active:
            _write_views(together, together.rows(active), 0, views)
        self.clock.lap("batch")
        while active:
            self.check_stop()
            rows = together.rows(active)
            drawn = None if together.draws is None else together.draws[rows, t]
            actions, hidden = together.mac.select_actions(batch, t, hidden, together.epsilon, drawn, bs=rows)
            self.clock.lap("act")
            outcomes = self._step(active, actions)
            self.clock.lap("env")
            kept = _kept(active, outcomes, lost)
            if len(kept) < len(active):
                active, outcomes = _pick(kept, active, outcomes)
                actions, hidden = actions[kept], hidden[kept]
            if active:
                rows = together.rows(active)
                returns[rows] += _write_outcomes(together, rows, t, actions, outcomes)
            over = [row for row, outcome in enumerate(outcomes) if outcome.terminated or outcome.truncated]
            if over:
                for row in over:
                    slot = active[row]
                    together.results[slot] = _result(together.seeds[slot], returns[slot], t + 1, outcomes[row])
                going_on = sorted(set(range(len(active))) - set(over))
                (active,), hidden = _pick(going_on, active), hidden[going_on]
            t += 1
            self.clock.lap("batch")
        return lost


def _result(seed: int, returns: np.ndarray, length: int, last: Outcome) -> EpisodeResult:
    """Return an episode in numbers, from its returns (n_rewards,) and what its last step led to."""
    each = tuple(returns.tolist())
    return EpisodeResult(seed, sum(each), length, last.truncated, last.info, each if len(each) > 1 else None)


def failed_run(line: str, fault: EpisodeLostError) -> RunFailedError:
    """Return the error that ends a run, with a fault's notes (a traceback), and what was `played` where it knows."""
    failure = RunFailedError(line)
    failure.played = getattr(fault, "played", None)
    for note in getattr(fault, "__notes__", ()):
        failure.add_note(note)
    return failure


def _kept(slots: Sequence[int], answers: Sequence[Any], lost: dict[int, EpisodeLostError]) -> list[int]:
    """Return the rows of the answers whose slots still have their game; put the other slots into `lost`."""
    kept = []
    for row, (slot, answer) in enumerate(zip(slots, answers, strict=True)):
        if isinstance(answer, EpisodeLostError):
            lost[slot] = answer
        else:
            kept.append(row)
    return kept


def _pick(rows: Sequence[int], *columns: Sequence[Any]) -> tuple[list[Any], ...]:
    return tuple([column[row] for row in rows] for column in columns)


def _write_outcomes(
    together: _Round, slots: Rows, t: int, actions: np.ndarray, outcomes: Sequence[Outcome]
) -> np.ndarray:
    """Write what joint actions led to; return the rewards (n, n_rewards)."""
    rewards, ended, _, _, views = zip(*outcomes, strict=True)
    told = np.array(rewards).reshape(len(outcomes), -1)
    led_to = {"reward": told, "terminated": np.array(ended)[:, None]}
    together.batch.update({"actions": actions.reshape(*actions.shape[:2], -1), **led_to}, bs=slots, ts=t)
    check_finite(together.batch, ("reward",), slots, t, together.seeds)
    _write_views(together, slots, t + 1, views)
    return told


def _write_views(together: _Round, slots: Rows, t: int, views: Sequence[View]) -> None:
    quantities = dict(zip(View._fields, zip(*views, strict=True), strict=True))
    if "of" in together.batch.scheme["state"]:
        del quantities["state"]  # it lies where the observations do
    together.batch.update({**quantities, "filled": True}, bs=slots, ts=t)
    check_finite(together.batch, ("obs", "state"), slots, t, together.seeds)


def torch_dtype(dtype: np.dtype) -> th.dtype:
    """Return Torch's dtype of a NumPy one."""
    return th.from_numpy(np.empty(0, dtype=dtype)).dtype
