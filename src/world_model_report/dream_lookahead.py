"""What a recurrent world model (Dreamer, MAMBA, MABL, DMAWM) foresees on episodes it has never seen.

From every row of an episode that has at least `context` rows up to it, the model imagines on, under the actions really
taken and without looking, and what it decodes is compared with what then came.

Letters: E episodes of up to T rows, N agents, I size of an observation, J steps ahead, M starting rows.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch as th
from torch import Tensor

from components.episode_batch import EpisodeBatch
from components.segments import Segments
from learners.model_losses import segment_of
from modules.worlds.contract import Segment, each
from modules.worlds.world import World
from utils.errors import UserError
from world_model_report.bands import mean_band
from world_model_report.estimates import Estimate

MOST_STARTS = 4096  # rows from which is imagined on: of long episodes all would take gigabytes where pictures are seen


class Foreseen(NamedTuple):
    """What was imagined j steps ahead of M rows, and what came; `episode` and `row` (M,): where imagination began."""

    episode: Tensor
    row: Tensor
    obs: Tensor  # (M, N, I)
    reward: Tensor  # (M, N)
    goes_on: Tensor  # (M, N)
    real: Segment  # of the rows foreseen: (M, …)


def segment_of_episodes(learner: Any, batch: EpisodeBatch) -> tuple[Segment, Tensor]:
    """Return whole episodes as a world model reads them, and which rows there are, (E, T) bool."""
    filled = batch["filled"].squeeze(-1)
    first, last = th.zeros_like(filled), th.zeros_like(filled)
    first[:, 0] = True
    last[th.arange(len(filled)), filled.sum(dim=1) - 1] = True
    rows = Segments(batch, first, last, ~filled)
    args = learner.args
    absorbing, cut_off_ends = args.absent_agents == "absorbing", args.truncation == "end"
    return segment_of(rows, args.action_space, args.noop, absorbing, cut_off_ends), filled


def foresee(
    world: World, segment: Segment, lengths: Tensor, states: Any, begin: tuple[Tensor, ...], horizon: int
) -> Iterator[Foreseen]:
    """Imagine on from some rows, under the actions really taken, step by step as far as episodes reach.

    Args:
        world: the model.
        segment: E episodes.
        lengths: (E,) how many rows each has.
        states: what the model inferred at every row.
        begin: numbers of episodes and rows, (M,) each.
        horizon: how many steps at most.
    """
    episode, row = begin
    state, absent = each(lambda x: x[episode, row], states), segment.absent[episode, row]
    for j in range(1, horizon + 1):
        there = row + j < lengths[episode]
        if not there.any():
            return
        episode, row, before = episode[there], row[there], each(lambda x, there=there: x[there], state)
        absent = absent[there]
        present = world.seen_by_others(absent)
        state = world.imagine_step(before, segment.actions[episode, row + j - 1], present)
        said = world.decode(before, state, present)
        if said.absent is not None:
            absent = absent | (said.absent > 0)
        real = Segment(*(x[episode, row + j] for x in segment))
        reward, goes_on = world.rewards.mean(said.reward), said.goes_on.sigmoid()
        yield Foreseen(episode, row, world.obs_of(state), reward, goes_on, real)


class DreamLookahead:
    """Episodes seen through a world model, and foreseen up to `horizon` steps.

    Attributes:
        segment: the episodes; `filled` (E, T) says which rows there are.
        states: what the model inferred at every row; `seen` (E, T, N, I) what it reconstructs there.
        every: it was imagined on from every so-manieth row behind the context, from each episode's first on.
        ahead: what it foresaw, for j = 1, 2, … as far as episodes reach.
    """

    @th.no_grad()
    def __init__(self, learner: Any, batch: EpisodeBatch, context: int, horizon: int) -> None:
        self.world, self.context = learner.world, context
        self.segment, self.filled = segment_of_episodes(learner, batch)
        self.states = self.world.observe(self.segment).states
        self.seen = self.world.obs_of(self.states)
        self.ahead = list(self._foresee(horizon))
        if not self.ahead:
            raise UserError(f"no episode goes on after {context} rows of context; give a smaller --context")

    def _foresee(self, horizon: int) -> Iterator[Foreseen]:
        lengths, at = self.filled.sum(dim=1), th.arange(self.filled.shape[1])
        possible = (at >= self.context - 1) & (at < lengths[:, None] - 1)
        self.every = max(1, -(-int(possible.sum()) // MOST_STARTS))
        begin = (possible & ((at - self.context + 1) % self.every == 0)).nonzero(as_tuple=True)
        return foresee(self.world, self.segment, lengths, self.states, begin, horizon)

    def estimates(self) -> Iterator[Estimate]:
        """Return the mean squared errors of the model and of naive predictors, with their bands, step by step.

        `keep` says what was last observed, `mean` the mean of all rows; of rewards there is `mean` alone.
        """
        there = self.filled & ~self.segment.first
        means = [x[there].mean(dim=0) for x in (self.segment.obs, self.segment.reward, self.segment.goes_on)]
        for j, ahead in enumerate(self.ahead, start=1):
            episodes = ahead.episode.numpy()
            guesses = {
                "obs": {"model": ahead.obs, "keep": self.segment.obs[ahead.episode, ahead.row], "mean": means[0]},
                "reward": {"model": ahead.reward, "mean": means[1]},
                "goes_on": {"model": ahead.goes_on, "mean": means[2]},
            }
            for what, of in guesses.items():
                real = getattr(ahead.real, what)
                for predictor, guess in of.items():
                    error = (guess - real).square().flatten(1).mean(dim=1).numpy()
                    yield Estimate(j, f"{what}_error", predictor, *mean_band(error, episodes))
            for predictor, error in self.disagreement(ahead).items():
                yield Estimate(j, "disagreement", predictor, *mean_band(error, episodes))

    def disagreement(self, ahead: Foreseen) -> dict[str, np.ndarray]:
        """Return how far apart two agents are imagined to see what both really see alike, in standard deviations.

        `shuffled` has one agent's imagination of another starting row beside it: what no agreement at all would give.
        """
        pairs = self.seen_alike
        if len(pairs) == 0:
            return {}
        i, c, k, d, sign, spread = pairs
        ours, theirs = ahead.obs[:, i, c], sign * ahead.obs[:, k, d]
        order = th.from_numpy(np.random.default_rng(0).permutation(len(ours)))
        return {
            name: ((ours - other).abs() / spread).mean(dim=1).numpy()
            for name, other in (("model", theirs), ("shuffled", theirs[order]))
        }

    @cached_property
    def seen_alike(self) -> tuple[Tensor, ...]:
        """Return the pairs of numbers that two agents always see alike, or with the other sign.

        A place on the map is the same number for both; an ally's place, which each sees from where it stands itself,
        is the other's with the opposite sign. Pairs of agents are neighbours by number.

        Returns:
            agent, its number, other agent, its number, sign, standard deviation: (P,) each; nothing where P is 0.
        """
        obs = self.segment.obs[self.filled]  # (R, N, I)
        spread, found = obs.std(dim=0), []
        for i, k in pairwise(range(obs.shape[1])):
            for sign in (1.0, -1.0):
                places = always_alike(obs[:, i], sign * obs[:, k])
                found += [(i, c, k, d, sign, spread[i, c]) for c, d in places if spread[i, c] > 0]
        if not found:
            return ()
        *places, spreads = zip(*found, strict=True)
        return *map(th.tensor, places), th.stack(spreads)

    def calibration(self, bins: int = 10) -> list[tuple[float, float, int]]:
        """Return for each tenth of what was said of going on one step ahead: its mean, the share that did, how many."""
        said, real = self.ahead[0].goes_on.flatten(), self.ahead[0].real.goes_on.flatten()
        which = (said * bins).long().clamp(max=bins - 1)
        groups = ((said[which == b], real[which == b]) for b in range(bins))
        return [(s.mean().item(), r.mean().item(), len(s)) for s, r in groups if len(s) > 0]

    def story(self, episode: int, steps: int) -> tuple[Tensor, Tensor]:
        """Return what agents saw after the context in one episode, and were imagined to see: (J, N, I) each."""
        parts = [
            (ahead.real.obs[here][0], ahead.obs[here][0])
            for ahead in self.ahead[:steps]
            if (here := (ahead.episode == episode) & (ahead.row == self.context - 1)).any()
        ]
        return tuple(th.stack(side) for side in zip(*parts, strict=True))

    def longest(self) -> int:
        """Return the episode that goes on longest."""
        return int(self.filled.sum(dim=1).argmax())


def always_alike(x: Tensor, y: Tensor) -> list[tuple[int, int]]:
    """Return the columns c of ``x (R, I)`` and d of ``y (R, I)`` that are equal in every row.

    Columns are looked up by what they hold: comparing each with each would take I² R numbers, too many for pictures.
    """
    by_column = defaultdict(list)
    for d, column in enumerate((y + 0.0).T.contiguous().numpy()):  # + 0.0: there is no -0 but 0
        by_column[column.tobytes()].append(d)
    columns = enumerate((x + 0.0).T.contiguous().numpy())
    return [(c, d) for c, column in columns for d in by_column.get(column.tobytes(), ())]
