"""IPPO, MAPPO, IA2C and MAA2C: an actor and a critic, trained on the last rounds of episodes, used once.

Which of them it is, settings say: `critic_reads` is the state for MAPPO and MAA2C and the agent's own history for IPPO
and IA2C; A2C takes one epoch and does not clip. docs/policies.md has every equation and switch.

Letters: R rows and K transitions of a batch (see `EpisodeRows`), k those of a minibatch, N agents, W the width of
`avail_actions`, P numbers of an action.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows
from components.sequences import Sequences, Unrolled
from learners.idle import EPSILON, MIXERS, REPLAY, TARGETS, VALUES
from learners.learner import Learner, Part, Scalars
from learners.losses import weighted_sum
from learners.not_finite import all_finite
from learners.policy_losses import ppo_policy_loss, value_loss
from learners.returns import choosing, explained_variance, gae, mean_weights, normalised
from learners.targets import continues
from modules.critics.value_critic import ValueCritic


@dataclass
class Seen:
    """What is known of the K transitions before the first step; no gradient is asked of any of it."""

    inputs: Tensor  # (K, N, I) of the actor
    state: Tensor  # (K, S), or (K, N, …): of the critic
    available: Tensor  # (K, N, W)
    actions: Tensor  # (K, N, P)
    acting: Tensor  # (K, N) float: 1 where an agent's action counts
    valued: Tensor  # (K, N) float: 1 where an agent's value counts
    advantages: Tensor  # (K, N)
    targets: Tensor  # (K, N), returns as the critic is to say them
    old_values: Tensor  # (K, N), as the critic said them
    old_log_prob: Tensor | None  # (K, N); None until the first step finds it
    actor_h: Tensor | None  # (K, N, H), with chunks
    critic_h: Tensor | None


class PolicyLearner(Learner):
    """Reads from `args`: all settings of config/algs/mappo.yaml, `gamma`, `truncation`, `batch_size`, `batch_steps`,
    `t_max`.
    """

    EXPERIENCE = "fresh"
    ACTIONS = frozenset({"discrete", "continuous", "multidiscrete"})
    OWN_REWARDS = True
    STANDARDISES = True
    IGNORES = EPSILON | REPLAY | TARGETS | MIXERS | VALUES | {"td_lambda"}
    READS_LATER = (
        "gamma", "truncation", "batch_size", "batch_steps", "t_max", "epochs", "minibatches", "chunk_length",
        "ppo_clip", "entropy_coef", "gae_lambda", "value_clip", "huber_delta", "normalise_advantages", "mask_dead",
        "critic_mask_dead", "critic_dead_zeros", "critic_reads",
    )  # fmt: skip

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.mac != "policy_mac":
            raise ValueError(f"learner={args.learner} needs mac=policy_mac, not {args.mac}")
        if args.cuda_graph:
            raise ValueError("cuda_graph=True is for values: policies learn from rounds of many lengths")
        self.actor, self.critic = mac.agent, ValueCritic(mac.input_size, args)
        parts = {
            "actor": Part({"actor": self.actor}, args.lr, args.optim_eps, args.grad_norm_clip, args.lr_decay),
            "critic": Part(
                {"critic": self.critic}, args.critic_lr, args.optim_eps, args.critic_grad_norm_clip,
                args.critic_lr_decay,
            ),
        }
        super().__init__(mac, logger, args, parts, targets={})

    def learn(self, experience: Any, t_env: int, episode_num: int) -> None:
        """Take `epochs` passes over the episodes that wait, once there are `batch_size` of them, `batch_steps` long."""
        batch = experience.take(self.args.batch_size, self.args.batch_steps, self.device)
        if batch is None:
            return
        self.set_step_sizes(t_env)
        with self.training_mode():
            figures = self.update(batch)
        self.updates += 1
        if self.log_due(t_env):
            self.log(figures, t_env)

    def update(self, batch: Any) -> Scalars:
        """Take all steps on a batch; return what is logged: losses and the like as means over the steps."""
        args = self.args
        rows = EpisodeRows(batch, packed=True)
        sequences = Sequences(rows.sizes[1:], args.chunk_length, self.device)
        seen, figures = self.look(rows, one_sequence_each=args.minibatches == 1 and not sequences.cut)
        sums: Scalars = {}
        for _ in range(args.epochs):
            for some in sequences.minibatches(args.minibatches):
                found = self.actor_step(seen, some, batch) | self.critic_step(seen, some, batch)
                sums = {name: sums.get(name, 0.0) + value for name, value in found.items()}
        steps = args.epochs * min(args.minibatches, len(sequences))
        return {name: total / steps for name, total in sums.items()} | figures

    @th.no_grad()
    def look(self, rows: EpisodeRows, one_sequence_each: bool) -> tuple[Seen, Scalars]:
        """Return what the steps need to know, and figures about it.

        Where every step unrolls whole episodes, all of them, the first one finds the old log-probabilities.
        """
        args = self.args
        inputs = self.mac.build_inputs(rows)
        state = self.critic_inputs(rows, inputs)
        now, later = rows.now, not one_sequence_each
        available, actions = now(rows["avail_actions"]), now(rows["actions"])
        choice = choosing(available, actions.shape[-1], self.args.action_space.kind)
        acting = choice if args.mask_dead else th.ones_like(choice)
        valued = choice if args.critic_mask_dead else th.ones_like(choice)
        critic_h = self.critic.encode(state, rows.sizes)
        values = self.critic.value(critic_h)
        advantages, returns, figures = self.judge(rows, values, mean_weights(acting), mean_weights(valued))
        seen = Seen(
            now(inputs), now(state), available, actions, acting, valued, advantages, self.critic.normalised(returns),
            now(values), None, None, now(critic_h) if later else None,
        )  # fmt: skip
        if later:
            seen.actor_h = self.actor.encode(seen.inputs, rows.sizes[1:])
            seen.old_log_prob = self.actor.density(seen.actor_h, available).log_prob(actions)
        return seen, figures

    def judge(
        self, rows: EpisodeRows, values: Tensor, acting: Tensor, valued: Tensor
    ) -> tuple[Tensor, Tensor, Scalars]:
        """Return advantages and returns ``(K, N)`` from the critic's ``values (R, N)``, and figures about them.

        Both are on the reward's scale; then the returns are taken into the running statistics, if there are any, and
        the advantages normalised, if asked for. `acting` and `valued` (K, N) are weights.
        """
        args, batch = self.args, rows.batch
        values = self.critic.on_reward_scale(values)
        mask = batch["filled"][:, 1:].float()
        ends = continues(batch["terminated"][:, :-1], mask, args.truncation)
        advantages = rows.take_pairs(
            gae(self.rewards(batch), rows.spread(values), ends, args.gamma, args.gae_lambda, mask)
        )
        said = rows.now(values)
        returns = advantages + said
        mean = weighted_sum(advantages, acting)
        figures = {
            "value_mean": weighted_sum(said, valued),
            "return_target_mean": weighted_sum(returns, valued),
            "explained_variance": explained_variance(said, returns, valued),
            "advantage_std": weighted_sum((advantages - mean).square(), acting).sqrt(),
        }
        if not all_finite(returns.sum()):  # before the statistics take them in: nothing changes then
            self.raise_not_finite({"returns": returns}, returns.sum(), batch, self.updates)
        if self.critic.norm is not None:
            self.critic.norm.update(returns, valued)
            figures["value_norm_mean"], figures["value_norm_std"] = self.critic.norm.statistics()
        if args.normalise_advantages:
            advantages = normalised(advantages, acting)
        return advantages, returns, figures

    def critic_inputs(self, rows: EpisodeRows, inputs: Tensor) -> Tensor:
        """Return what the critic reads: the actors' inputs (R, N, I), or the state (R, S).

        With `critic_dead_zeros` a dead agent's state is zeros, so there is one for each: (R, N, S).
        """
        if self.args.critic_reads == "own":
            return inputs
        if not self.args.critic_dead_zeros:
            return rows["state"]
        alive = choosing(rows["avail_actions"], rows["actions"].shape[-1], self.args.action_space.kind)
        return rows["state"].unsqueeze(1) * alive.unsqueeze(-1)

    def actor_step(self, seen: Seen, some: Unrolled, batch: Any) -> Scalars:
        """Take the actor's step on some sequences, and return its figures."""
        h = self.actor.encode(some.take(seen.inputs), some.sizes, some.starts(seen.actor_h))
        density = self.actor.density(h, some.take(seen.available))
        log_prob = density.log_prob(some.take(seen.actions))
        if seen.old_log_prob is None:
            seen.old_log_prob = log_prob.detach()
        weights = mean_weights(some.take(seen.acting))
        loss, figures = ppo_policy_loss(
            log_prob, some.take(seen.old_log_prob), some.take(seen.advantages), weights, self.args.ppo_clip
        )
        entropy = weighted_sum(density.entropy(), weights)
        losses = {"loss_policy": loss, "loss_entropy": -self.args.entropy_coef * entropy}
        figures |= {"loss_policy": loss.detach(), "entropy": entropy.detach()}
        return figures | self._step("actor", losses, batch)

    def critic_step(self, seen: Seen, some: Unrolled, batch: Any) -> Scalars:
        """Take the critic's step on some sequences, and return its figures."""
        args = self.args
        h = self.critic.encode(some.take(seen.state), some.sizes, some.starts(seen.critic_h))
        weights = mean_weights(some.take(seen.valued))
        targets, old_values = some.take(seen.targets), some.take(seen.old_values)
        loss = value_loss(self.critic.value(h), targets, weights, old_values, args.value_clip, args.huber_delta)
        return {"loss_value": loss.detach()} | self._step("critic", {"loss_value": loss}, batch)

    def _step(self, part: str, losses: Scalars, batch: Any) -> Scalars:
        self.optimisers[part].zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        return {f"grad_norm_{part}": self.take_step(part, losses, batch)}
