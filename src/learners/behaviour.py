"""Behaviour: MAPPO in imagination (MAMBA, MABL §3.3, DMAWM §4.3). One for every world model.

From K starting points the actor acts in the model for L steps; the critic's values and the model's rewards and
continuations give advantages (DMAWM, eq. 7); then several epochs of PPO on what was imagined (eq. 8 and 9).

    δ_t = r̂_t + γ ĉ_t v_{t+1} - v_t        A_t = δ_t + γ λ ĉ_t A_{t+1}

where r̂_t and ĉ_t arrive with imagined row t+1. The critic's target is ``sg(v + A)``, with no target network.

Letters: K trajectories, L steps, N agents, M minibatches' rows; F and X widths of what actor and critic read.
"""

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch as th
from torch import Tensor, nn

from learners.policy_losses import ppo_policy_loss
from learners.returns import explained_variance, gae
from modules.worlds.contract import Dream, Scalars
from modules.worlds.world import World


class Experience(NamedTuple):
    """What was imagined, as PPO learns from it: tensors (K, L, N, …); no gradient leads back into the model."""

    features: Tensor  # (K, L, N, F)
    critic_features: Tensor  # (K, L, N, X)
    avail: Tensor  # (K, L, N, W)
    actions: Tensor
    log_probs: Tensor  # (K, L, N)
    advantages: Tensor
    returns: Tensor
    policy_weights: Tensor  # (K, L, N): of a mean over the actions that count
    value_weights: Tensor
    said: Tensor | None = None  # (K, L, N, ·): what the critic said of it, with its gradient, for a first pass


class ReturnScale(nn.Module):
    """DreamerV3's scale of advantages: a slow mean of the range between the returns' 5th and 95th percentiles."""

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("range", th.zeros(()))
        self.register_buffer("weight", th.zeros(()))

    @th.no_grad()
    def update(self, returns: Tensor) -> None:
        """Take the returns of a roll-out into account."""
        low, high = th.quantile(returns.flatten(), returns.new_tensor([0.05, 0.95]))
        self.range.lerp_(high - low, 1 - self.decay)
        self.weight.lerp_(th.ones_like(self.weight), 1 - self.decay)

    def forward(self) -> Tensor:
        """Return the range."""
        return self.range / self.weight.clamp(min=1e-8)


def survival(goes_on: Tensor) -> Tensor:
    """Return how likely it is that the task still goes on when step t is taken, 1 at the first: (K, L, N)."""
    before = th.cat([th.ones_like(goes_on[:, :1]), goes_on[:, :-1]], dim=1)
    return before.cumprod(dim=1)


def scaled(advantages: Tensor, weights: Tensor, form: str, floor: float, scale: Tensor) -> Tensor:
    """Return advantages on a scale of about one, but never blown up: divided by no less than `floor`.

    Where imagined returns are all alike, their differences are the critic's noise: a policy that follows them forgets
    how to explore before it has met a reward.

    Args:
        advantages: (K, L, N).
        weights: of a mean over them.
        form: `none`; `std`, less their mean and over their standard deviation; `range`, over `scale` (DreamerV3).
        floor: what is divided by at least.
        scale: the range of returns, see `ReturnScale`.
    """
    if form == "none":
        return advantages
    if form == "range":
        return advantages / scale.clamp(min=floor)
    centred = advantages - (weights * advantages).sum()
    return centred / (weights * centred.square()).sum().sqrt().clamp(min=floor)


class Behaviour:
    """Actor and critic, and how they learn from a world model.

    Reads from `args`: `horizon`, `gamma`, `gae_lambda`, `ppo_epochs`, `ppo_clip`, `minibatch_rows`,
    `weigh_by_survival`, `advantage_scale`, `advantage_floor`.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, scale: ReturnScale, args: SimpleNamespace) -> None:
        self.actor, self.critic, self.scale, self.args = actor, critic, scale, args

    def imagine(self, world: World, encode: Any, start: Any, avail: Tensor, absent: Tensor) -> Dream:
        """Act in the model from states (K, N, …); `encode` says actions as networks read them."""

        def act(features: Tensor, avail: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            density = self.actor(features, avail)
            actions = density.sample()
            return actions, density.log_prob(actions), encode(actions)

        return world.imagine(start, avail, absent, act, self.args.horizon)

    @th.no_grad()
    def experience(self, world: World, dream: Dream) -> tuple[Experience, Scalars]:
        """Return what PPO learns from a dream, and figures of it.

        What the critic says of the values is kept with its gradient where the first pass is over all rows at once.
        """
        args = self.args
        critic_features = world.critic_features(dream.states)  # (K, L+1, N, X)
        rows, last = critic_features[:, :-1], critic_features[:, -1:]
        with th.set_grad_enabled(args.minibatch_rows is None):
            said = self.critic(rows)
        values = th.cat([self.critic.head.mean(said), self.critic.values(last)], dim=1)
        advantages = gae(dream.reward, values, dream.goes_on, args.gamma, args.gae_lambda)
        returns = advantages + values[:, :-1]
        alive = survival(dream.goes_on)
        counts = alive if args.weigh_by_survival else th.ones_like(alive)
        of_policy = counts * ~dream.absent
        policy_weights, value_weights = (w / w.sum().clamp(min=1e-8) for w in (of_policy, counts))
        self.scale.update(returns)
        found = Experience(
            world.features(dream.states)[:, :-1],
            rows,
            dream.avail,
            dream.actions,
            dream.log_probs,
            scaled(advantages, policy_weights, args.advantage_scale, args.advantage_floor, self.scale()),
            returns,
            policy_weights,
            value_weights,
            said if said.requires_grad else None,
        )
        return found, {
            "dream_reward": (alive * dream.reward).sum() / alive.sum().clamp(min=1e-8),
            "dream_after_end": 1 - alive.mean(),
            "dream_value": (value_weights * values[:, :-1]).sum(),
            "advantage_std": (policy_weights * advantages.square()).sum().sqrt(),
            "return_range": self.scale().clone(),
            "value_explained": explained_variance(values[:, :-1], returns, value_weights),
        }

    def minibatches(self, found: Experience) -> list[Experience]:
        """Return what PPO takes a step from, one after the other: all rows at once, or in a random order some."""
        rows, size = found.features.shape[:2].numel(), self.args.minibatch_rows
        flat = Experience(*(x if x is None else x.flatten(0, 1) for x in found))  # (K·L, N, …)
        if size is None or size >= rows:
            return [flat]
        order = th.randperm(rows, device=found.returns.device).split(size)
        return [rescaled(Experience(*(x[part] for x in flat[:-1])), rows / len(part)) for part in order]

    def policy_loss(self, found: Experience, entropy_coef: float) -> tuple[Tensor, Scalars]:
        """``-E[min(ρ A, clip(ρ) A)] - β H(π)`` (DMAWM, eq. 8), of rows (M, N); β is `entropy_coef`."""
        density = self.actor(found.features, found.avail)
        log_probs = density.log_prob(found.actions)
        loss, metrics = ppo_policy_loss(
            log_probs, found.log_probs, found.advantages, found.policy_weights, self.args.ppo_clip
        )
        entropy = (found.policy_weights * density.entropy()).sum()
        return loss - entropy_coef * entropy, {**metrics, "policy_entropy": entropy.detach()}

    def value_loss(self, found: Experience) -> Tensor:
        """``E[-log p(sg(v + A))]`` (DMAWM, eq. 9; its appendix has the two-hot cross-entropy), of rows (M, N)."""
        out = self.critic(found.critic_features) if found.said is None else found.said
        return (found.value_weights * self.critic.head.loss(out, found.returns)).sum()


def rescaled(found: Experience, factor: float) -> Experience:
    """Return a part of an experience with the weights of a whole."""
    return found._replace(policy_weights=found.policy_weights * factor, value_weights=found.value_weights * factor)
