"""QPLEX (Wang et al., ICLR 2021): double Q-learning on a duplex dueling of the agents' values."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.losses import td_loss
from learners.targets import greedy_actions, pick
from learners.value_learner import ValueLearner, unrolled


class QPLEXLearner(ValueLearner):
    """See `ValueLearner` for the settings it reads, and `modules/mixers/qplex.py`."""

    SUMS_OVER_ROWS = True
    MIXES = ("qplex",)

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, args, extra={})

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return ``L_TD`` alone."""
        inputs, avail, states = self.mac.build_inputs(rows), rows["avail_actions"], rows["state"]
        _, q = unrolled(self.agent, rows, inputs)
        actions = rows["actions"].squeeze(-1)
        taken, best = pick(q, actions), pick(q, greedy_actions(q.detach(), avail))
        chosen = self._mixed(rows, taken, best, states, actions)
        with th.no_grad():
            _, target_q = self.target_values(rows, inputs)
            choices = self.choices(rows, q, target_q)
            target_best = pick(target_q, greedy_actions(target_q, avail))
            parts = (rows.then(x) for x in (pick(target_q, choices), target_best, states, choices))
            targets = self.targets_of(rows, self.target_mixer(*parts).unsqueeze(-1))
        return {"loss_td": td_loss(chosen, targets, rows.weights(1))}, self.td_figures(rows, chosen, targets)

    def _mixed(self, rows: EpisodeRows, *parts: Tensor) -> Tensor:
        """Return Q_tot (K, 1) of the actions that were taken."""
        return self.mixer(*map(rows.now, parts)).unsqueeze(-1)
