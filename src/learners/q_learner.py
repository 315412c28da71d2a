"""IQL, VDN and QMIX: double Q-learning on the mixed values of recurrent agents.

Which of the three it is, the setting `mixer` says: `none`, `vdn` or `qmix`.
"""

from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor

from components.episode_batch import EpisodeBatch, Scheme
from learners.base_learner import BaseLearner


class QLearner(BaseLearner):
    """See `BaseLearner` for the settings it reads."""

    def __init__(self, mac: Any, scheme: Scheme, logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, args, extra={})

    def losses(self, batch: EpisodeBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return ``L_TD`` alone."""
        inputs = self.mac.build_inputs(batch)
        q = self.agent.q_from_hidden(self.agent.encode(inputs), batch["obs"])
        with th.no_grad():
            target_h = self.target_agent.encode(inputs)
        loss, metrics = self.td(batch, q, target_h)
        return {"loss_td": loss}, metrics
