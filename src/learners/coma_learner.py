"""COMA (Foerster et al., AAAI 2018): a central critic of one agent's actions given the others', whose mean over what
that agent might have done instead is the baseline of its policy's gradient.

Letters: R rows and K transitions of a batch (see `EpisodeRows`), N agents, A actions.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows
from learners.idle import EPSILON, MIXERS, REPLAY, VALUES
from learners.learner import Learner, Part, Scalars, frozen_copy
from learners.losses import weighted_sum
from learners.policy_losses import counterfactual_advantages, ppo_policy_loss, value_loss
from learners.returns import choosing, explained_variance, mean_weights, normalised
from learners.targets import continues, pick, td_lambda_targets
from modules.actors.densities import Categorical
from modules.critics.coma_critic import COMACritic


class COMALearner(Learner):
    """Reads from `args`: all settings of config/algs/coma.yaml, `gamma`, `truncation`, `batch_size`, `batch_steps`."""

    EXPERIENCE = "fresh"
    ACTIONS = frozenset({"discrete"})
    STANDARDISES = True
    IGNORES = EPSILON | REPLAY | MIXERS | VALUES
    READS_LATER = (
        "gamma", "truncation", "batch_size", "batch_steps", "td_lambda", "critic_steps", "entropy_coef",
        "normalise_advantages", "mask_dead", "target_update_interval", "target_update_tau", "t_max",
    )  # fmt: skip

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.mac != "policy_mac":
            raise ValueError(f"learner={args.learner} needs mac=policy_mac, not {args.mac}")
        if args.cuda_graph:
            raise ValueError("cuda_graph=True is for values: policies learn from rounds of many lengths")
        self.actor, self.critic = mac.agent, COMACritic(args)
        self.target_critic = frozen_copy(self.critic)
        parts = {
            "actor": Part({"actor": self.actor}, args.lr, args.optim_eps, args.grad_norm_clip, args.lr_decay),
            "critic": Part(
                {"critic": self.critic}, args.critic_lr, args.optim_eps, args.critic_grad_norm_clip,
                args.critic_lr_decay,
            ),
        }
        super().__init__(mac, logger, args, parts, targets={"critic": self.target_critic})

    def learn(self, experience: Any, t_env: int, episode_num: int) -> None:
        """Take `critic_steps` steps of the critic and one of the actor, once enough episodes wait."""
        batch = experience.take(self.args.batch_size, self.args.batch_steps, self.device)
        if batch is None:
            return
        self.set_step_sizes(t_env)
        with self.training_mode():
            figures = self.update(batch)
        self.updates += 1
        self.move_targets(episode_num, self.args.target_update_interval)
        if self.log_due(t_env):
            self.log(figures, t_env)

    def update(self, batch: Any) -> Scalars:
        """Take all steps on a batch; return what is logged, the critic's losses as means over its steps."""
        rows = EpisodeRows(batch, packed=True)
        density = self.policy(rows)
        targets, figures = self.targets_of(rows, density.probabilities())
        q = None
        for _ in range(self.args.critic_steps):
            loss, said = self.critic_loss(rows, targets)
            q = said.detach() if q is None else q  # the advantages are those of the critic that saw nothing of this yet
            found = {"loss_value": loss.detach()} | self._step("critic", {"loss_value": loss}, batch)
            figures = figures | {name: figures.get(name, 0.0) + value for name, value in found.items()}
        for name in found:
            figures[name] = figures[name] / self.args.critic_steps
        losses, more = self.actor_losses(rows, density, q)
        return figures | more | self._step("actor", losses, batch)

    def policy(self, rows: EpisodeRows) -> Categorical:
        """Return the agents' density at every row, (R, N, A)."""
        h = self.actor.encode(self.mac.build_inputs(rows), rows.sizes)
        return self.actor.density(h, rows["avail_actions"])

    @th.no_grad()
    def targets_of(self, rows: EpisodeRows, probabilities: Tensor) -> tuple[Tensor, Scalars]:
        """Return λ-returns ``(K, N)`` of the target critic's values of the actions taken, and figures about them.

        At an episode's last row, where nobody acts any more, the others take their likeliest actions, and the value is
        the mean over what the agent might do.
        """
        args, batch = self.args, rows.batch
        taken = rows["actions"]
        last = rows.spread(th.ones_like(rows.mask))[:, :, None]
        last = rows.take(last * th.cat([1 - last[:, 1:], th.ones_like(last[:, :1])], dim=1)).bool()  # (R, 1)
        actions = th.where(last.unsqueeze(-1), probabilities.argmax(dim=-1, keepdim=True), taken)
        q = self.target_critic(rows["state"], rows["obs"], actions)
        values = th.where(last, (probabilities * q).sum(dim=-1), pick(q, actions.squeeze(-1)))
        mask = batch["filled"][:, 1:].float()
        ends = 1 - continues(batch["terminated"][:, :-1], mask, args.truncation)
        next_values = rows.spread(values)[:, 1:]
        targets = td_lambda_targets(self.rewards(batch), ends, mask, next_values, args.gamma, args.td_lambda)
        targets = rows.take_pairs(targets)
        weights = mean_weights(th.ones_like(targets))
        figures = {
            "return_target_mean": weighted_sum(targets, weights),
            "explained_variance": explained_variance(rows.now(values), targets, weights),
        }
        return targets, figures

    def critic_loss(self, rows: EpisodeRows, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared error of the values of the actions taken, and Q ``(K, N, A)``."""
        actions = rows.now(rows["actions"])
        q = self.critic(rows.now(rows["state"]), rows.now(rows["obs"]), actions)
        return value_loss(pick(q, actions.squeeze(-1)), targets, mean_weights(th.ones_like(targets))), q

    def actor_losses(self, rows: EpisodeRows, density: Categorical, q: Tensor) -> tuple[Scalars, Scalars]:
        """Return the policy's loss with the counterfactual baseline (eq. 5), that of its entropy, and figures."""
        args, available, actions = self.args, rows.now(rows["avail_actions"]), rows.now(rows["actions"])
        taken = Categorical(rows.now(density.log_p))
        choice = choosing(available, 1, "discrete")
        weights = mean_weights(choice if args.mask_dead else th.ones_like(choice))
        advantages = counterfactual_advantages(q, taken.probabilities(), actions)
        figures = {"advantage_std": weighted_sum(advantages.square(), weights).sqrt()}
        if args.normalise_advantages:
            advantages = normalised(advantages, weights)
        log_prob = taken.log_prob(actions)
        loss, _ = ppo_policy_loss(log_prob, log_prob, advantages, weights, clip=th.inf)
        entropy = weighted_sum(taken.entropy(), weights)
        losses = {"loss_policy": loss, "loss_entropy": -args.entropy_coef * entropy}
        return losses, figures | {"loss_policy": loss.detach(), "entropy": entropy.detach()}

    def _step(self, part: str, losses: Scalars, batch: Any) -> Scalars:
        self.optimisers[part].zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        return {f"grad_norm_{part}": self.take_step(part, losses, batch)}
