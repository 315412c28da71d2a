"""Weighted QMIX (Rashid et al., NeurIPS 2020): QMIX fitted most where a joint action may be the best one.

A central ``Q̂*`` with agents and a mixer of its own, which is not monotonic, makes the targets of both:
``y = r + γ Q̂*⁻(s', argmax_u Q_tot(s', u))``. ``L = Σ w (Q_tot - y)² + (Q̂* - y)²``, with w below.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor, nn

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.losses import td_loss, weighted_sum
from learners.targets import pick
from learners.value_learner import ValueLearner, unrolled
from modules.agents import REGISTRY as AGENTS
from modules.mixers.central import CentralMixer


def optimistic_weights(q_tot: Tensor, targets: Tensor, alpha: float) -> Tensor:
    """OW-QMIX (eq. 7): 1 where Q_tot is too low, α elsewhere. All (…)."""
    return th.where(q_tot < targets, 1.0, alpha)


def central_weights(targets: Tensor, greedy_value: Tensor, is_greedy: Tensor, alpha: float) -> Tensor:
    """CW-QMIX (eq. 8): 1 where the target is above ``Q̂*(s, û)`` or u is û, α elsewhere. All (…)."""
    return th.where((targets > greedy_value) | is_greedy, 1.0, alpha)


class WeightedQMIXLearner(ValueLearner):
    """`ValueLearner` with the central networks.

    Reads from `args` besides: `weighting`, `weighting_alpha`, `central_mixing_dim`, what the agent and the mixers read.
    """

    SUMS_OVER_ROWS = True
    MIXES = ("qmix",)
    READS_LATER = (*ValueLearner.READS_LATER, "weighting", "weighting_alpha")

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        agent = AGENTS[args.agent](mac.input_size, args)
        self.central = nn.ModuleDict({"agent": agent, "mixer": CentralMixer(args)}).to(mac.device)
        super().__init__(mac, scheme, logger, args, extra={"central": self.central}, followed=("central",))
        self.target_central = self.targets["central"]

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return the weighted ``L_TD`` of Q_tot, and that of Q̂*."""
        inputs, obs, states, weights = self.mac.build_inputs(rows), rows["obs"], rows["state"], rows.weights(1)
        actions = rows["actions"].squeeze(-1)
        q_taken, q = self.agent.score(self.agent.encode(inputs, rows.sizes), rows["actions"], obs)
        q_tot = rows.now(self._mix(self.mixer, q_taken, states, None))
        _, central_qs = unrolled(self.central["agent"], rows, inputs)
        central = self.central["mixer"](rows.now(pick(central_qs, actions)), rows.now(states)).unsqueeze(-1)
        with th.no_grad():
            _, target_central_qs = unrolled(self.target_central["agent"], rows, inputs)
            # with double Q nothing asks for the target agents' values
            choices = self.choices(rows, q, q if self.args.double_q else self.target_values(rows, inputs)[1])
            next_qs = rows.then(pick(target_central_qs, choices))
            targets = self.targets_of(rows, self.target_central["mixer"](next_qs, rows.then(states)).unsqueeze(-1))
            w = self._weights(rows, q_tot, targets, choices, actions, central_qs, states)
        losses = {
            "loss_td": weighted_sum((w * (q_tot - targets).square()).squeeze(-1), weights),
            "loss_central": td_loss(central, targets, weights),
        }
        figures = {"weight_mean": weighted_sum(w.squeeze(-1), weights)}
        return losses, {**self.td_figures(rows, q_tot, targets), **figures}

    def _weights(
        self, rows: EpisodeRows, q_tot: Tensor, targets: Tensor, choices: Tensor, actions: Tensor,
        central_qs: Tensor, states: Tensor,
    ) -> Tensor:  # fmt: skip
        alpha = self.args.weighting_alpha
        if self.args.weighting == "optimistic":
            return optimistic_weights(q_tot, targets, alpha)
        greedy = rows.now(choices)
        greedy_value = self.central["mixer"](rows.now(pick(central_qs, choices)), rows.now(states)).unsqueeze(-1)
        is_greedy = (greedy == rows.now(actions)).all(dim=-1, keepdim=True)
        return central_weights(targets, greedy_value, is_greedy, alpha)
