"""What every learner does: parts with an optimiser each, targets, the guard against NaN, figures, saving.

A learner names what it trains as parts: a value learner has one, with agent and mixer in it; one with an actor and a
critic has two, each with its own step size and clip. How it learns, and from what, each learner says for itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple, NoReturn

import torch as th
from torch import Tensor, nn

from learners.not_finite import NotFiniteError, all_finite, not_finite, quantities
from learners.reward_moments import RewardMoments

Scalars = dict[str, Tensor]


class Part(NamedTuple):
    """What one optimiser trains: modules by name, its step size, Adam's ε, and the largest norm of its gradient.

    With `decays` the step size falls linearly to 0 at `t_max`, where the learner calls `set_step_sizes`. Every step
    shrinks all parameters by a share of `weight_decay` times the step size.
    """

    modules: Mapping[str, nn.Module]
    lr: float
    eps: float
    clip: float
    decays: bool = False
    weight_decay: float = 0.0


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a network whose parameters no gradient reaches: a target."""
    return deepcopy(module).requires_grad_(False)


class Learner(ABC):
    """Trains networks in parts.

    Reads from `args`: `learner_log_interval` (environment steps), `cuda_graph`, `autocast`, `standardise_rewards` and,
    with it, `standardise_from`, `n_rewards`.

    Attributes:
        trained: all modules of all parts, by name.
        targets: copies of some of them, by the same names.
        optimisers: Adam for each part, by the part's name.
        updates: how many updates were taken.
    """

    # What `learn` is given, by its name in `components.EXPERIENCES`: whole episodes out of replay, rows of one length
    # out of replay, or the last rounds alone.
    EXPERIENCE: ClassVar[str]
    # The kinds of action space that it can learn in: discrete, continuous, multidiscrete.
    ACTIONS: ClassVar[frozenset[str]]
    # Whether it can use a reward for each agent (common_reward=False).
    OWN_REWARDS: ClassVar[bool] = False
    # Whether it learns from `rewards(batch)`, and so with standardise_rewards.
    STANDARDISES: ClassVar[bool] = False
    # Whether its forward passes may be taken in bfloat16 (autocast), with losses in float32.
    AUTOCASTS: ClassVar[bool] = False
    # Settings that every config has and that do nothing here.
    IGNORES: ClassVar[frozenset[str]] = frozenset()
    # Settings that are first read while learning. One that is missing is to be told before that.
    READS_LATER: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        mac: Any,
        logger: Any,
        args: SimpleNamespace,
        parts: Mapping[str, Part],
        targets: Mapping[str, nn.Module],
    ) -> None:
        for name in self.READS_LATER:
            getattr(args, name)
        self.mac, self.logger, self.args = mac, logger, args
        self.device = mac.device
        if args.autocast != "none" and not self.AUTOCASTS:
            raise ValueError(f"autocast={args.autocast} is not made for {args.learner}: take autocast=none")
        if args.standardise_rewards and not self.STANDARDISES:
            raise ValueError(f"{args.learner} learns from rewards as they are: take standardise_rewards=False")
        self.reward_moments = None
        if args.standardise_rewards:
            self.reward_moments = RewardMoments(args.n_rewards, self.device)
            self.counts_batches = args.standardise_from == "batches"
            if self.counts_batches and self.EXPERIENCE != "replay":
                raise ValueError("standardise_from=batches is for learners that sample batches: take experience")
        self.parts, self.targets = dict(parts), dict(targets)
        self.trained = {name: module for part in parts.values() for name, module in part.modules.items()}
        for module in (*self.trained.values(), *self.targets.values()):
            module.to(self.device).eval()
        self.part_parameters = {name: _trainable(part) for name, part in parts.items()}
        self.parameters = [p for parameters in self.part_parameters.values() for p in parameters]
        self.optimisers = {
            name: th.optim.Adam(
                self.part_parameters[name],
                lr=part.lr,
                eps=part.eps,
                fused=True,
                capturable=args.cuda_graph,
                **_decay(part.weight_decay),
            )
            for name, part in parts.items()
        }
        self.updates = 0
        self.last_target_update_episode = 0
        self.last_log_t = -args.learner_log_interval - 1

    @classmethod
    def uses_own_rewards(cls, args: SimpleNamespace) -> bool:
        """Say whether it can use a reward for each agent with these settings."""
        return cls.OWN_REWARDS

    @abstractmethod
    def learn(self, experience: Any, t_env: int, episode_num: int) -> None:
        """Learn from what has been experienced, if there is enough of it: called after every round of episodes.

        Args:
            experience: what `EXPERIENCE` names.
            t_env: environment steps so far.
            episode_num: episodes so far.

        Raises `NotFiniteError` instead of a step where a loss or the gradient is not finite.
        """

    def trial_update(self, experience: Any) -> None:
        """Learn once from an experience that has enough, as `learn` does: to see how long it takes."""
        self.learn(experience, 0, 0)

    def note_episodes(self, batch: Any) -> None:
        """Take note of new training episodes, each once: their rewards are counted, for `standardise_rewards`."""
        if self.reward_moments is not None and not self.counts_batches:
            taken = batch["filled"][:, 1:].squeeze(-1)
            self.reward_moments.add(batch["reward"][:, :-1][taken])

    def note_taken(self, parts: Sequence[str]) -> None:  # noqa: B027  most start the same whatever they took
        """Take note that parts of the networks, by name, were taken of another run's checkpoint."""

    def note_batch(self, batch: Any) -> None:
        """Count the rewards of a batch, padding and all, with `standardise_from=batches`: called before its update."""
        if self.reward_moments is not None and self.counts_batches:
            self.reward_moments.add(batch["reward"][:, :-1].flatten(0, 1))

    def rewards(self, batch: Any) -> Tensor:
        """Return the rewards (B, T, 1 or N) of a batch's transitions to learn from."""
        rewards = batch["reward"][:, :-1]
        return rewards if self.reward_moments is None else self.reward_moments.standardised(rewards)

    def set_step_sizes(self, t_env: int) -> None:
        """Give every part that decays its step size after `t_env` environment steps."""
        left = max(1 - t_env / self.args.t_max, 0.0)
        for name, part in self.parts.items():
            if part.decays:
                self.optimisers[name].param_groups[0]["lr"] = part.lr * left

    def take_step(self, part: str, losses: Mapping[str, Tensor], batch: Any) -> Tensor:
        """Take a part's optimiser step on the gradients that are there, and return their norm before clipping.

        Raises `NotFiniteError` instead where the losses or the norm are not finite; `batch` is what they came from.
        """
        parameters = self.part_parameters[part]
        grad_norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self._guard_step(part, losses, grad_norm, batch)
        nn.utils.clip_grads_with_norm_(parameters, self.parts[part].clip, grad_norm)
        self.optimisers[part].step()
        return grad_norm

    def _guard_step(self, part: str, losses: Mapping[str, Tensor], grad_norm: Tensor, batch: Any) -> None:
        """See to it that no step is taken from numbers that are not finite: the norm of the gradient shows them all."""
        if not all_finite(sum(losses.values()), grad_norm):
            self.raise_not_finite(losses, grad_norm, batch, self.updates)

    def raise_not_finite(
        self, losses: Mapping[str, Tensor], grad_norm: Tensor, batch: Any, update: int
    ) -> NoReturn:
        """Raise `NotFiniteError`, which names what is not finite, causes before what they cause."""
        named = self._named_parameters()
        gradients = [(f"gradient of {name}", p.grad) for name, p in named if p.grad is not None]
        candidates = [*named, *quantities(batch).items(), *losses.items(), *gradients, ("grad_norm", grad_norm)]
        raise NotFiniteError(not_finite(candidates), update, batch)

    def _named_parameters(self) -> list[tuple[str, Tensor]]:
        return [(f"{kind}.{name}", p) for kind, module in self.trained.items() for name, p in module.named_parameters()]

    def check_finite(self) -> None:
        """Raise `NotFiniteError` if a tensor that a checkpoint holds is not finite."""
        if found := not_finite(self.state_tensors().items()):
            raise NotFiniteError(found, self.updates, None)

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        """Have all networks in training mode meanwhile (layers that learn statistics of their inputs, say)."""
        for module in self.trained.values():
            module.train()
        try:
            yield
        finally:
            for module in self.trained.values():
                module.eval()

    def targets_due(self, episode_num: int, interval: int) -> bool:
        """Say whether `interval` episodes have passed since the targets moved last."""
        return episode_num - self.last_target_update_episode >= interval

    def move_targets(self, episode_num: int, interval: int) -> None:
        """Move the targets: a share of their way after every update with `target_update_tau`, else when it is time."""
        tau = self.args.target_update_tau
        if tau is not None:
            self.approach_targets(tau)
        if self.targets_due(episode_num, interval):
            if tau is None:
                self.update_targets()
            self.last_target_update_episode = episode_num

    @th.no_grad()
    def approach_targets(self, share: float) -> None:
        """Move the targets by a share of the way to the networks, θ⁻ ← θ⁻ + τ (θ - θ⁻); buffers are copied."""
        for name, target in self.targets.items():
            network = self.trained[name]
            th._foreach_lerp_([*target.parameters()], [*network.parameters()], share)
            for kept, buffer in zip(target.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)

    def update_targets(self) -> None:
        """Copy parameters and buffers to the targets (hard update)."""
        for name, target in self.targets.items():
            target.load_state_dict(self.trained[name].state_dict())

    def log_due(self, t_env: int) -> bool:
        """Say whether it is time to log the learner's figures."""
        return t_env - self.last_log_t >= self.args.learner_log_interval

    def log(self, figures: Mapping[str, Tensor], t_env: int) -> None:
        """Log scalars by name, and take note that it was done."""
        for name, value in figures.items():
            self.logger.log_stat(name, value.item(), t_env)
        self.last_log_t = t_env

    def part_grad_norms(self, part: str, grad_norm: Tensor) -> dict[str, Tensor]:
        """Return the norm of a part's last gradient on each piece of its networks, before clipping."""
        norms = {}
        for module_name, module in self.parts[part].modules.items():
            for piece_name, piece in module.named_children():
                grads = [p.grad for p in piece.parameters() if p.grad is not None]
                if grads:
                    norms[f"grad_norm_{module_name}.{piece_name}"] = nn.utils.get_total_norm(grads)
        clipped = th.stack(list(norms.values())).norm().clamp(min=1e-30)
        return {name: norm / clipped * grad_norm for name, norm in norms.items()}

    def state_tensors(self) -> dict[str, Tensor]:
        """Return every tensor that training needs to go on: modules, targets, optimisers, by dotted name.

        Optimisers' tensors are numbered as `parameters` are, through all parts.
        """
        tensors = {}
        for kind, modules in (("trained", self.trained), ("target", self.targets)):
            for name, module in modules.items():
                tensors.update({f"{kind}.{name}.{key}": value for key, value in module.state_dict().items()})
        for first, optimiser in self._numbered_optimisers():
            for index, state in optimiser.state_dict()["state"].items():
                tensors.update(
                    {f"optimiser.{first + index}.{key}": th.as_tensor(value) for key, value in state.items()}
                )
        if self.reward_moments is not None:
            tensors.update({f"rewards.{name}": value for name, value in self.reward_moments.state().items()})
        return tensors

    def _numbered_optimisers(self) -> Iterator[tuple[int, th.optim.Adam]]:
        """Yield optimisers, each with the number of its first parameter."""
        first = 0
        for name, optimiser in self.optimisers.items():
            yield first, optimiser
            first += len(self.part_parameters[name])

    def state_numbers(self) -> dict[str, int]:
        """Return the learner's counters."""
        return {
            "updates": self.updates,
            "last_target_update_episode": self.last_target_update_episode,
            "last_log_t": self.last_log_t,
        }

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, int]) -> None:
        """Take up what `state_tensors` and `state_numbers` gave. Raises RuntimeError when the networks differ."""
        for kind, modules in (("trained", self.trained), ("target", self.targets)):
            for name, module in modules.items():
                module.load_state_dict(_below(f"{kind}.{name}.", tensors))
        if self.reward_moments is not None:
            self.reward_moments.load(_below("rewards.", tensors))
        states = self._optimiser_states(tensors)
        for first, optimiser in self._numbered_optimisers():
            groups = optimiser.state_dict()["param_groups"]
            own = {index: states[first + index] for index in groups[0]["params"] if first + index in states}
            optimiser.load_state_dict({"state": own, "param_groups": groups})
        self.updates = numbers["updates"]
        self.last_target_update_episode = numbers["last_target_update_episode"]
        self.last_log_t = numbers["last_log_t"]

    def _optimiser_states(self, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("optimiser.", tensors).items():
            index, _, name = key.partition(".")
            known = index.isdecimal() and int(index) < len(self.parameters)
            if not known or value.shape not in ((), self.parameters[int(index)].shape):
                raise RuntimeError(f"optimiser.{key} belongs to no parameter")
            states.setdefault(int(index), {})[name] = value
        return states


def _decay(weight_decay: float) -> dict[str, Any]:
    """Return what makes Adam AdamW (Loshchilov and Hutter, 2019), or nothing: a host's Torch may not know it."""
    return {"weight_decay": weight_decay, "decoupled_weight_decay": True} if weight_decay > 0 else {}


def _trainable(part: Part) -> list[nn.Parameter]:
    return [p for module in part.modules.values() for p in module.parameters() if p.requires_grad]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
