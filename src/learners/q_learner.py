"""IQL, VDN and QMIX: double Q-learning on the mixed values of recurrent agents.

Which of the three it is, the setting `mixer` says: `none`, `vdn` or `qmix`.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.value_learner import ValueLearner


class QLearner(ValueLearner):
    """See `ValueLearner` for the settings it reads."""

    SUMS_OVER_ROWS = True
    AUTOCASTS = True
    OWN_REWARDS = True

    @classmethod
    def uses_own_rewards(cls, args: SimpleNamespace) -> bool:
        """A mixed value has one target: only independent agents can each learn from a reward of their own."""
        return args.mixer == "none"

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, args, extra={})

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return ``L_TD`` alone."""
        q_taken, q, target_q = self.agent_values(rows)
        loss, metrics = self.td(rows, q_taken, q, target_q)
        return {"loss_td": loss}, metrics
