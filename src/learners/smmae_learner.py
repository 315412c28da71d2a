"""SMMAE (Zhang et al., AAMAS 2023): QMIX whose agents explore, each for itself, as far as cooperation lets them.

Besides QMIX's, each with an optimiser of its own:

- the density of what agent i has seen, a VAE: ``L_density = Σ_i MSE(ô, o') + β KL[q(z|o') ‖ N(0, I)]``;
- its exploration policy, by independent Q-learning on ``c_r r + c_n n_i`` with the novelty ``n_i = ‖o'_i - ô_i‖²``;
- the prediction of its greedy action from what its teammates see, a cross entropy. Its error in new episodes says how
  often the agent explores, see `modules.agents.explorer`.

Letters: B episodes; K transitions as rows (see `EpisodeRows`), R rows, N agents, A actions.
"""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from components.episode_rows import EpisodeRows
from learners.learner import Part, Scalars
from learners.losses import kl_to_standard_normal, td_loss, weighted_sum
from learners.targets import greedy_actions, pick
from learners.value_learner import ValueLearner, unrolled
from modules.novelty import ObservationDensity
from modules.teammates import TeammatePredictor


class SMMAELearner(ValueLearner):
    """`ValueLearner` with exploration policies, densities and predictions.

    Reads from `args` besides: `density_width`, `density_latent`, `density_lr`, `density_beta` (β), `predictor_width`,
    `predictor_lr`, `explorer_reward_coef` (c_r), `novelty_coef` (c_n).
    """

    SUMS_OVER_ROWS = True
    MIXES = ("vdn", "qmix")
    READS_LATER = (*ValueLearner.READS_LATER, "density_beta", "explorer_reward_coef", "novelty_coef")

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.mac != "smmae_mac":
            raise ValueError(f"{args.learner} trains the exploration policies of mac=smmae_mac, not {args.mac}")
        if args.n_agents < 2:
            raise ValueError(f"{args.learner} predicts agents from their teammates, and here is one agent alone")
        N, obs_size = args.n_agents, args.obs_shape
        self.explorer = mac.agent["explorer"]
        self.density = ObservationDensity(N, obs_size, args.density_width, args.density_latent).to(mac.device)
        self.predictor = TeammatePredictor(N, obs_size, args.n_actions, args.predictor_width).to(mac.device)
        parts = {
            "explorer": Part({"explorer": self.explorer}, args.lr, args.optim_eps, args.grad_norm_clip),
            "density": Part({"density": self.density}, args.density_lr, args.optim_eps, math.inf),
            "predictor": Part({"predictor": self.predictor}, args.predictor_lr, args.optim_eps, math.inf),
        }
        super().__init__(mac, scheme, logger, args, extra={}, followed=("explorer",), parts=parts)
        self.target_explorer = self.targets["explorer"]

    @staticmethod
    def agent_of(mac: Any) -> nn.Module:
        """Return the network of values, beside which the controller has the explorer."""
        return mac.values

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return the losses of the four parts."""
        weights = rows.weights(1)
        q_taken, q, target_q = self.agent_values(rows)
        loss, figures = self.td(rows, q_taken, q, target_q)
        density_loss, novelty = self.density_of(rows)
        losses = {
            "loss_td": loss,
            "loss_density": density_loss,
            "loss_explorer": self.explorer_loss(rows, novelty),
            "loss_predictor": weighted_sum(self.prediction_errors(rows, q).mean(dim=-1), weights),
        }
        return losses, {**figures, "novelty_mean": weighted_sum(novelty.mean(dim=-1), weights)}

    def density_of(self, rows: EpisodeRows) -> tuple[Tensor, Tensor]:
        """Return ``L_density``, and the novelty (K, N) of what transitions lead to, which carries no gradient."""
        obs = rows.then(rows["obs"])
        posterior, decoded = self.density(obs)
        errors = (obs - decoded).square()
        each = errors.mean(dim=-1) + self.args.density_beta * kl_to_standard_normal(posterior)
        return weighted_sum(each.sum(dim=-1), rows.weights(1)), errors.detach().sum(dim=-1)

    def explorer_loss(self, rows: EpisodeRows, novelty: Tensor) -> Tensor:
        """Return the TD loss of the exploration policies, each agent's on its own rewards, with novelty (K, N)."""
        states, args = rows["state"].unsqueeze(1), self.args
        _, q = unrolled(self.explorer, rows, states)
        with th.no_grad():
            _, target_q = unrolled(self.target_explorer, rows, states)
            rewards = args.explorer_reward_coef * self.rewards(rows.batch)
            rewards = rewards + args.novelty_coef * rows.spread_pairs(novelty)
            targets = self.targets_of(rows, rows.then(pick(target_q, self.choices(rows, q, target_q))), rewards)
        return td_loss(rows.now(pick(q, rows["actions"].squeeze(-1))), targets, rows.weights(1))

    def prediction_errors(self, rows: EpisodeRows, q: Tensor) -> Tensor:
        """Return how badly agents' greedy actions are told from what their teammates see, (K, N) in nats.

        `q` (R, N, A) are the agents' values of all actions.
        """
        greedy = rows.now(greedy_actions(q.detach(), rows["avail_actions"]))
        return functional.cross_entropy(self.predictor(rows.now(rows["obs"])).mT, greedy, reduction="none")

    @th.no_grad()
    def note_episodes(self, batch: Any) -> None:
        """Take note of new training episodes: of how well agents are predicted in them."""
        super().note_episodes(batch)
        rows = EpisodeRows(batch.to(self.device))
        _, q = unrolled(self.agent, rows, self.mac.build_inputs(rows))
        taken = rows.batch["filled"][:, 1:].float()
        errors = rows.spread_pairs(self.prediction_errors(rows, q)) * taken
        self.explorer.note(errors.sum(dim=1) / taken.sum(dim=1))

    def diagnose(self, batch: Any) -> Scalars:
        """Return each agent's level, see `Explorer`."""
        return {f"explorer_level_{agent}": level for agent, level in enumerate(self.explorer.levels)}
