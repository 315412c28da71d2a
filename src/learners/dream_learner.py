"""World-model methods (Dreamer per agent, MAMBA, MABL, DMAWM): model step, imagination, behaviour step.

Which world model it is, and what its actor and critic read, are settings: nothing here knows one from another. A model
step trains the model alone, on segments out of replay; a behaviour step trains actor and critic, on what the frozen
model imagines from the states it inferred for such segments.

Letters: B segments, T rows, N agents; K starting points of imagination.
"""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor

from components.segments import SegmentReplay, Segments
from learners.behaviour import Behaviour, ReturnScale
from learners.dream_diagnostics import diagnose
from learners.idle import EPSILON, INSTEAD, MIXERS, TARGETS, VALUES
from learners.learner import Learner, Part, Scalars
from learners.model_losses import segment_of
from modules.critics.dream_critic import DreamCritic
from modules.worlds.actions import encode_actions
from modules.worlds.attention import AgentTransformer
from modules.worlds.contract import Observed, Segment, each
from modules.worlds.heads import number_head


class DreamLearner(Learner):
    """Reads from `args` besides what `Behaviour` does: everything under «learning» in src/config/algs/dreamer.yaml."""

    EXPERIENCE = "segments"
    ACTIONS = frozenset({"discrete", "continuous", "multidiscrete"})
    OWN_REWARDS = True
    IGNORES = EPSILON | TARGETS | MIXERS | VALUES | {*INSTEAD, "td_lambda"}
    READS_LATER = (
        "learn_after", "train_interval", "train_unit", "model_steps", "behaviour_steps", "behaviour_after", "segments",
        "segment_length", "absorbing_rows", "rewarded_share", "starts", "fresh_starts", "horizon", "gamma",
        "gae_lambda", "ppo_epochs", "ppo_clip", "minibatch_rows", "entropy_coef", "entropy_anneal",
        "weigh_by_survival", "advantage_scale", "advantage_floor", "absent_agents", "truncation", "t_max",
    )  # fmt: skip

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.mac != "dream_mac":
            raise ValueError(f"learner={args.learner} needs mac=dream_mac, not {args.mac}")
        self.world, self.space = mac.world, args.action_space
        self.critic = _critic(self.world.critic_size, args)
        self.scale = ReturnScale()
        parts = {
            "model": Part(
                {"world": self.world}, args.model_lr, args.optim_eps, args.model_clip, args.model_lr_decay
            ),
            "actor": Part({"actor": mac.actor}, args.actor_lr, args.optim_eps, args.actor_clip, args.actor_lr_decay),
            "critic": Part(
                {"critic": self.critic, "scale": self.scale}, args.critic_lr, args.optim_eps, args.critic_clip,
                args.critic_lr_decay,
            ),
        }
        super().__init__(mac, logger, args, parts, targets={})
        self.behaviour = Behaviour(mac.actor, self.critic, self.scale, args)
        self.encode = partial(encode_actions, space=self.space, n_actions=args.n_actions)
        self.intervals = 0  # of environment steps, or episodes, that have had their round
        self.model_updates = 0

    def learn(self, experience: SegmentReplay, t_env: int, episode_num: int) -> None:
        """Take the rounds of steps that are due: one every `train_interval` environment steps, or episodes."""
        args = self.args
        if t_env < args.learn_after:
            return
        lived = (t_env if args.train_unit == "steps" else episode_num) // args.train_interval
        if self.intervals == 0:  # nothing is made up for
            self.intervals = max(lived - 1, 0)
        if lived == self.intervals:
            return
        self.set_step_sizes(t_env)
        with self.training_mode():
            for _ in range(self.intervals, lived):
                figures, segment = self.round(experience)
        self.intervals = lived
        if self.log_due(t_env):
            self.log(figures | diagnose(self, segment), t_env)

    def trial_update(self, experience: SegmentReplay) -> None:
        """Take a whole round, as after the first updates."""
        self.model_updates = self.args.behaviour_after
        with self.training_mode():
            self.round(experience)

    def round(self, experience: SegmentReplay) -> tuple[Scalars, Segment]:
        """Take some model steps, then some behaviour steps; return the last figures, and the last segments.

        Behaviour waits until the model has had `behaviour_after` updates.
        """
        args, figures = self.args, {}
        for _ in range(args.model_steps):
            segments, segment = self.sample(experience)
            observed, figures = self.model_step(segments, segment)
        self.model_updates += args.model_steps
        for _ in range(args.behaviour_steps if self.model_updates > args.behaviour_after else 0):
            if args.fresh_starts:
                segments, segment = self.sample(experience)
                with th.no_grad():
                    observed = self.world.observe(segment)
            figures |= self.behaviour_step(segments, segment, observed.states)
        self.updates += 1
        return figures, segment

    def sample(self, experience: SegmentReplay) -> tuple[Segments, Segment]:
        """Draw segments, as replay and as the world model has them."""
        args = self.args
        absorbing = args.absent_agents == "absorbing"
        stay = args.absorbing_rows if absorbing else 0
        segments = experience.sample(args.segments, args.segment_length, stay, args.rewarded_share, self.device)
        return segments, segment_of(segments, self.space, args.noop, absorbing, args.truncation == "end")

    def model_step(self, segments: Segments, segment: Segment) -> tuple[Observed, Scalars]:
        """Train the world model on segments; return what it inferred there, and figures."""
        observed = self.world.observe(segment)
        losses = self.world.losses(segment, observed)
        norm = self._step("model", losses, segments)
        return observed, {**losses, "grad_norm_model": norm}

    def behaviour_step(self, segments: Segments, segment: Segment, states: Any) -> Scalars:
        """Train actor and critic on what the model imagines from states (B, T, N, …) that it inferred."""
        start, avail, absent = self.starts(segment, states)
        dream = self.behaviour.imagine(self.world, self.encode, start, avail, absent)
        found, figures = self.behaviour.experience(self.world, dream)
        for _ in range(self.args.ppo_epochs):
            for part in self.behaviour.minibatches(found):
                policy, metrics = self.behaviour.policy_loss(part, self.entropy_coef())
                value = self.behaviour.value_loss(part)
                norms = {
                    "grad_norm_actor": self._step("actor", {"loss_policy": policy}, segments),
                    "grad_norm_critic": self._step("critic", {"loss_value": value}, segments),
                }
            found = found._replace(said=None)  # it was of the critic before its step
        return {**figures, **metrics, **norms, "loss_policy": policy, "loss_value": value}

    def entropy_coef(self) -> float:
        """Return β after n steps of the actor, ``entropy_coef · entropy_anneal^n``; its optimiser counts and saves n.

        MAMBA's code multiplies β so at every step.
        """
        args, of_actor = self.args, self.optimisers["actor"].state
        if args.entropy_anneal == 1 or not of_actor:
            return args.entropy_coef
        return args.entropy_coef * args.entropy_anneal ** int(next(iter(of_actor.values()))["step"])

    def starts(self, segment: Segment, states: Any) -> tuple[Any, Tensor, Tensor]:
        """Return K states that imagination begins with, what can be done there, and who is absent.

        Any row at which the task goes on for some agent may be one; of more than `starts` of them a random choice.
        """
        places = segment.goes_on.any(dim=-1).flatten().nonzero().squeeze(-1)
        if self.args.starts is not None and len(places) > self.args.starts:
            places = places[th.randperm(len(places), device=places.device)[: self.args.starts]]
        start = each(lambda x: x.detach().flatten(0, 1)[places], states)
        return start, segment.avail.flatten(0, 1)[places], segment.absent.flatten(0, 1)[places]

    def _step(self, part: str, losses: Scalars, segments: Segments) -> Tensor:
        """Take a part's step on some losses; return the norm of the gradient."""
        self.optimisers[part].zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        return self.take_step(part, losses, segments)

    def state_numbers(self) -> dict[str, int]:
        """Return the learner's counters."""
        return {**super().state_numbers(), "intervals": self.intervals, "model_updates": self.model_updates}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, int]) -> None:
        """Take up what `state_tensors` and `state_numbers` gave. Raises RuntimeError when the networks differ."""
        super().load_state(tensors, numbers)
        self.intervals, self.model_updates = numbers["intervals"], numbers["model_updates"]


def _critic(size: int, args: SimpleNamespace) -> DreamCritic:
    """Return the critic of the settings; it starts at 0 everywhere."""
    attention = None
    if args.critic_attention:
        attention = AgentTransformer(args.critic_width, args.critic_layers, args.critic_heads, args.attention_hidden)
    head = number_head(args.critic_head, args.bins, args.bins_range)
    return DreamCritic(size, args.critic_width, args.critic_hidden_layers, head, attention)
