"""What the world model foresees on a batch of episodes, row by row.

Letters: R rows of a packed batch, R_j those that are j steps into their episode or later, N agents, A actions,
H hidden size, D latent size of the team.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch as th
from torch import Tensor

from components.episode_batch import EpisodeBatch
from components.episode_rows import EpisodeRows
from learners.diagnostics import kept_from
from learners.mmsa_diagnostics import Encoded, Foresight, encode, foresee
from learners.targets import greedy_actions, pick


class Matches(NamedTuple):
    """How often each predictor named what an agent then did, mean over agents, each (K_j,).

    `model`: greedy in the imagined hidden state; `keep`: greedy where imagination began; `chance`: any action available
    there; `ceiling`: greedy in the real hidden state, which is where a perfect model would be.
    """

    model: Tensor
    keep: Tensor
    chance: Tensor
    ceiling: Tensor


class Lookahead:
    """A batch seen through the networks and foreseen up to `horizon` steps, under the actions really taken.

    Attributes:
        rows: the batch, packed.
        latent: (R, D), latents of the posterior.
        encoded: histories and values; `encoded.model_h (R, N, H)` is what the model foresees.
        taken: (R, N), the actions taken; an episode's last row holds none.
        foresight: what was imagined, and its errors, for j = 1, 2, …
        episode: (R,), which episode of the batch a row is of.
    """

    @th.no_grad()
    def __init__(self, learner: Any, batch: EpisodeBatch, horizon: int) -> None:
        self.rows = rows = EpisodeRows(batch, packed=True)
        self.taken, self.avail = rows["actions"].squeeze(-1), rows["avail_actions"]
        self.encoded: Encoded = encode(learner, rows)
        self.latent = learner.world_model.posterior(self.encoded.model_h).mean
        self.foresight: Foresight = foresee(learner, rows, self.encoded, self.latent, horizon)
        self.lengths = (batch["filled"].sum(dim=(1, 2)) - 1).tolist()
        B, T = rows.shape
        self.episode = rows.take(th.arange(B)[:, None].expand(B, T))

    @property
    def horizon(self) -> int:
        """How many steps ahead there is something to foresee: as far as episodes reach."""
        return len(self.foresight.latents)

    def episodes_from(self, step: int) -> np.ndarray:
        """Return the episode of each row that is `step` steps into it or later, (R_j,)."""
        return self.episode[sum(self.rows.sizes[:step]) :].numpy()

    def acting_episodes_from(self, step: int) -> np.ndarray:
        """Return the same for those rows in which an action was taken, (K_j,)."""
        return self.rows.now(self.episode[sum(self.rows.sizes[:step]) :], after=step).numpy()

    def of_episode(self, number: int, x: Tensor, step: int = 0) -> Tensor:
        """Return what ``x (R_j, …)`` holds of one episode, from that step on, in the order of time."""
        return x[th.from_numpy(self.episodes_from(step) == number)]

    def matches(self) -> Iterator[Matches]:
        """Yield the matches for j = 1, 2, … as long as an action is taken that many steps ahead."""
        rows, sizes = self.rows, self.rows.sizes
        greedy = greedy_actions(self.encoded.model_q, self.avail)
        kept, avail = (kept_from(rows, x, self.horizon) for x in (greedy, self.avail))
        for j in range(1, min(self.horizon, len(sizes) - 2) + 1):
            here = slice(sum(sizes[:j]), None)
            chance = pick(avail[j - 1].float() / avail[j - 1].sum(dim=-1, keepdim=True), self.taken[here])
            guesses = self.foresight.actions[j - 1], kept[j - 1], greedy[here]
            model, keep, ceiling = ((guess == self.taken[here]).float() for guess in guesses)
            yield Matches(*(rows.now(x.mean(dim=-1), after=j) for x in (model, keep, chance, ceiling)))
