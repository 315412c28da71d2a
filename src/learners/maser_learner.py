"""MASER (Jeon et al., ICML 2022): QMIX whose agents are drawn to subgoals out of the episodes that they learn from.

``L = L_TD + c_I L_I + c_D L_D + c_E L_E``. Agent i's subgoal in an episode is the observation at the step g_i whose
value is highest (`subgoal_steps`), and ``r_i = -‖φ(o_t) - φ(o_g)‖`` its intrinsic reward. With sg where no gradient
passes:

- L_TD is QMIX's on ``r + λ mean_i r_i``;
- ``L_I = Σ_i (Q_i - sg y_i)²``, ``y_i = w_i r + λ r_i + γ Q_i⁻(û')``, with w a softmax over agents of ``Q_i⁻(û')``;
- ``L_D = (‖φ(o_t) - φ(o_g)‖ - (1 - cos(Q_i⁻(τ_t, ·), Q_i⁻(τ_g, ·))))²``: near is where all actions are worth alike;
- ``L_E = KL[softmax Q_i ‖ uniform]`` from the subgoal on: what comes then is to be tried out.

Letters: B episodes, T transitions; K transitions as rows (see `EpisodeRows`), N agents, A actions.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor
from torch.nn import functional

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.losses import td_loss, weighted_sum
from learners.targets import pick
from learners.value_learner import ValueLearner, unrolled
from modules.goal_distance import GoalDistance, at_steps, distance_to

UNAVAILABLE = -1e9  # finite, for padding has no available action


def subgoal_steps(own: Tensor, team: Tensor, taken: Tensor, alpha: float) -> Tensor:
    """Return the step of each agent's subgoal, (B, N): the maximum of ``α Q_i + (1 - α) Q_tot / N`` in the episode.

    Args:
        own: (B, T, N), the agents' values of their greedy actions.
        team: (B, T, 1), ``Q_tot`` of these.
        taken: (B, T) bool, which transitions took place.
        alpha: α in [0, 1].
    """
    criterion = alpha * own + (1 - alpha) * team / own.shape[-1]
    return criterion.masked_fill(~taken.unsqueeze(-1), -th.inf).argmax(dim=1)


def from_uniform(q: Tensor, avail: Tensor) -> Tensor:
    """Return ``KL[softmax Q ‖ uniform]`` over the available actions: ``q, avail (…, A) -> (…)``, from 0 to log A."""
    log_p = q.masked_fill(~avail, UNAVAILABLE).log_softmax(dim=-1)
    return (log_p.exp() * log_p).sum(dim=-1) + avail.sum(dim=-1).clamp(min=1).log()


class MASERLearner(ValueLearner):
    """`ValueLearner` with φ.

    Reads from `args` besides: `subgoal_alpha` (α), `subgoal_reward` (λ), `subgoal_width`, `individual_coef` (c_I),
    `distance_coef` (c_D), `exploration_coef` (c_E).
    """

    SUMS_OVER_ROWS = True
    MIXES = ("vdn", "qmix")
    READS_LATER = (
        *ValueLearner.READS_LATER, "subgoal_alpha", "subgoal_reward", "individual_coef", "distance_coef",
        "exploration_coef",
    )  # fmt: skip

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.distance = GoalDistance(args.obs_shape, args.n_actions, args.subgoal_width).to(mac.device)
        super().__init__(mac, scheme, logger, args, extra={"distance": self.distance})

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return ``L_TD``, and the other three with their weights."""
        args, weights, states = self.args, rows.weights(1), rows["state"]
        inputs, actions, rewards = self.mac.build_inputs(rows), rows["actions"].squeeze(-1), self.rewards(rows.batch)
        _, q = unrolled(self.agent, rows, inputs)
        q_taken = rows.now(pick(q, actions))
        chosen = self._mix(self.mixer, q_taken, rows.now(states), None)
        _, target_q = self.target_values(rows, inputs)
        with th.no_grad():
            best = pick(target_q, self.choices(rows, q, target_q))  # (R, N), Q_i⁻(û)
            team = self._mix(self.target_mixer, best, states, None)
            goals = self.subgoals(rows, rows.now(best), rows.now(team))
        distance = distance_to(rows.spread_pairs(self.distance(rows.now(rows["obs"]))), goals)  # (B, T, N)
        with th.no_grad():
            drawn = -args.subgoal_reward * distance
            shares = rows.spread_pairs(rows.then(best).softmax(dim=-1))
            targets = self.targets_of(rows, rows.then(team), rewards + drawn.mean(dim=-1, keepdim=True))
            own_targets = self.targets_of(rows, rows.then(best), shares * rewards + drawn)
            worth = rows.spread_pairs(rows.now(target_q))
            unlike = 1 - functional.cosine_similarity(worth, at_steps(worth, goals), dim=-1)
            behind = th.arange(distance.shape[1], device=goals.device).view(1, -1, 1) >= goals.unsqueeze(1)
            behind = rows.take_pairs(behind.float())  # (K, N)

        def mean(x: Tensor) -> Tensor:
            return weighted_sum(x.mean(dim=-1), weights)

        wrong = rows.take_pairs(distance - unlike).square()
        exploring = behind * from_uniform(rows.now(q), rows.now(rows["avail_actions"]))
        losses = {
            "loss_td": td_loss(chosen, targets, weights),
            "loss_individual": args.individual_coef * args.n_agents * td_loss(q_taken, own_targets, weights),
            "loss_distance": args.distance_coef * mean(wrong),
            "loss_exploration": args.exploration_coef * mean(exploring),
        }
        figures = {"subgoal_distance": mean(rows.take_pairs(distance.detach())), "behind_subgoal": mean(behind)}
        return losses, {**self.td_figures(rows, chosen, targets), **figures}

    def subgoals(self, rows: EpisodeRows, own: Tensor, team: Tensor) -> Tensor:
        """Return the steps of the subgoals (B, N), from the target's values of greedy actions, (K, N) and (K, 1)."""
        taken = rows.batch["filled"][:, 1:].squeeze(-1)
        return subgoal_steps(rows.spread_pairs(own), rows.spread_pairs(team), taken, self.args.subgoal_alpha)
