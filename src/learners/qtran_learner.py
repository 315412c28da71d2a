"""QTRAN-base (Son et al., ICML 2019): agents whose values, added up, have the maximum of an unrestricted joint value.

``L = L_td + λ_opt L_opt + λ_nopt L_nopt`` (eq. 4), with ``ū`` the agents' greedy actions, ``Q'_jt = Σ_i Q_i`` and sg
for what no gradient passes:

- ``L_td = (Q_jt(u) - y)²`` and ``y = r + γ Q_jt⁻(ū')`` (eq. 5);
- ``L_opt = (Q'_jt(ū) - sg Q_jt(ū) + V_jt)²`` (eq. 6);
- ``L_nopt = min(Q'_jt(u) - sg Q_jt(u) + V_jt, 0)²`` (eq. 7).
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.losses import td_loss, weighted_sum
from learners.targets import greedy_actions, pick
from learners.value_learner import ValueLearner, unrolled
from modules.mixers.joint import JointValues


class QTRANLearner(ValueLearner):
    """`ValueLearner` with joint values; the mixer, a sum, is ``Q'_jt``.

    Reads from `args` besides: `opt_coef` (λ_opt), `nopt_coef` (λ_nopt), what `JointValues` reads.
    """

    SUMS_OVER_ROWS = True
    MIXES = ("vdn",)
    READS_LATER = (*ValueLearner.READS_LATER, "opt_coef", "nopt_coef")

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.joint = JointValues(args).to(mac.device)
        super().__init__(mac, scheme, logger, args, extra={"joint": self.joint}, followed=("joint",))
        self.target_joint = self.targets["joint"]

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return ``L_td``, and ``L_opt`` and ``L_nopt`` with their weights."""
        inputs, states = self.mac.build_inputs(rows), rows["state"]
        h, q = unrolled(self.agent, rows, inputs)
        greedy = greedy_actions(q.detach(), rows["avail_actions"])
        with th.no_grad():
            target_h, target_q = self.target_values(rows, inputs)
            choices = self.choices(rows, q, target_q)
            ahead = (rows.then(x) for x in (target_h, states, choices))
            targets = self.targets_of(rows, self.target_joint.q(*ahead).unsqueeze(-1))

        h, q, states, greedy, taken = (rows.now(x) for x in (h, q, states, greedy, rows["actions"].squeeze(-1)))
        weights, v = rows.weights(1), self.joint.v(h, states)
        joint = self.joint.q(h, states, taken)
        with th.no_grad():
            joint_greedy = self.joint.q(h, states, greedy)
        opt = self.mixer(pick(q, greedy), states) - joint_greedy + v
        nopt = (self.mixer(pick(q, taken), states) - joint.detach() + v).clamp(max=0)
        chosen = joint.unsqueeze(-1)
        losses = {
            "loss_td": td_loss(chosen, targets, weights),
            "loss_opt": self.args.opt_coef * weighted_sum(opt.square(), weights),
            "loss_nopt": self.args.nopt_coef * weighted_sum(nopt.square(), weights),
        }
        return losses, self.td_figures(rows, chosen, targets)
