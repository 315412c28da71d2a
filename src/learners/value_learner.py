"""What every value learner does: TD on whole episodes out of replay, through a mixer or without one.

Letters: R rows and K transitions of a batch (see `EpisodeRows`), N agents, A actions.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, ClassVar

import torch as th
from torch import Tensor, nn

from components.episode_rows import Batch, EpisodeRows
from learners.cuda_graph import GraphedUpdate
from learners.learner import Learner, Part, Scalars, frozen_copy
from learners.losses import td_loss, weighted_sum
from learners.not_finite import all_finite
from learners.targets import continues, greedy_actions, pick, share_changed, td_lambda_targets
from modules.linear import prefers_few_sizes
from modules.mixers import REGISTRY as MIXERS
from modules.precision import bfloat16, float32, widened

NETWORKS = "networks"  # the part with agent and mixer in it, for most the only one


def unrolled(agent: nn.Module, rows: EpisodeRows, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return agents' histories ``h (R, N, H)`` and values of all actions (R, N, A), from what they read (R, N, I)."""
    h = agent.encode(inputs, rows.sizes)
    return h, agent.q_from_hidden(h, rows["obs"])


class ValueLearner(Learner):
    """Trains the agent, the mixer and whatever `extra` modules a method adds, with one optimiser; more with `parts`.

    Reads from `args` besides: `mixer`, `gamma`, `truncation`, `td_lambda`, `double_q`, `lr`, `optim_eps`,
    `weight_decay`, `grad_norm_clip`, `target_update_interval` (episodes), `target_update_tau`, `batch_size` (episodes),
    `rewarded_share`, `updates_per_run`, `initial_slope`, `initial_slope_above`, `initial_value`.
    """

    EXPERIENCE = "replay"
    ACTIONS = frozenset({"discrete"})
    STANDARDISES = True
    # Whether `losses` add up as its docstring says, so that processes may share a batch. Who overrides `losses` says so
    # anew.
    SUMS_OVER_ROWS: ClassVar[bool] = False
    # The mixers that it can mix with, by name.
    MIXES: ClassVar[tuple[str, ...]] = ("none", "vdn", "qmix", "rollout_qmix")
    READS_LATER = (
        "gamma", "truncation", "td_lambda", "double_q", "grad_norm_clip", "target_update_interval", "target_update_tau",
    )  # fmt: skip

    def __init__(
        self,
        mac: Any,
        scheme: Mapping[str, Any],
        logger: Any,
        args: SimpleNamespace,
        extra: dict[str, nn.Module],
        followed: tuple[str, ...] = (),
        parts: Mapping[str, Part] | None = None,
    ) -> None:
        """Take a method's `extra` modules, and further parts, which have optimisers of their own.

        Modules whose names are `followed` get a target as agent and mixer do.
        """
        if args.mixer not in self.MIXES:
            raise ValueError(f"{args.learner} mixes with mixer={' or '.join(self.MIXES)}, not {args.mixer}")
        parts = {} if parts is None else parts
        if parts and args.cuda_graph:
            raise ValueError(f"{args.learner} has several optimisers, and cuda_graph=True records one: take False")
        self.agent = self.agent_of(mac)
        build_mixer = MIXERS[args.mixer]
        self.mixer: nn.Module | None = None if build_mixer is None else build_mixer(args).to(mac.device)
        mixers = {} if self.mixer is None else {"mixer": self.mixer}
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = None if self.mixer is None else frozen_copy(self.mixer)
        target_mixers = {} if self.target_mixer is None else {"mixer": self.target_mixer}
        added = dict(extra)
        for part in parts.values():
            added.update(part.modules)
        targets = {"agent": self.target_agent, **target_mixers, **{name: frozen_copy(added[name]) for name in followed}}
        modules = {"agent": self.agent, **mixers, **extra}
        networks = Part(modules, args.lr, args.optim_eps, args.grad_norm_clip, weight_decay=args.weight_decay)
        super().__init__(mac, logger, args, {NETWORKS: networks, **parts}, targets)
        if args.initial_slope is not None and args.initial_value is None:
            raise ValueError("initial_slope starts at initial_value: give that a number, or take initial_slope=null")
        if args.initial_slope is not None and args.mixer == "qplex":
            raise ValueError("initial_slope starts mixers that are monotonic, and mixer=qplex is not: take null")
        # Whether the mixer starts as it was drawn, or has its start behind it, see `start_mixer`.
        self.mixer_started = args.initial_slope is None or not hasattr(self.mixer, "mixing")
        # Updates that were not taken because of numbers that are not finite: counted on the device, for a recorded
        # update must wait for nothing. After the first nothing changes any more, not even the batch.
        self.not_taken = th.zeros((), device=self.device)
        self.update = GraphedUpdate(self.take_update, self.not_taken) if args.cuda_graph else self.take_update

    @staticmethod
    def agent_of(mac: Any) -> nn.Module:
        """Return a controller's network of values."""
        return mac.agent

    @property
    def optimiser(self) -> th.optim.Adam:
        """The optimiser of agent and mixer."""
        return self.optimisers[NETWORKS]

    @abstractmethod
    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return the losses to be added up, and further scalars to be logged, each by the name it is logged under.

        With `SUMS_OVER_ROWS` all are sums over rows with the weights of `rows`, so that those of a batch's parts add up
        to the batch's.
        """

    def backward(self, batch: Batch, totals: Sequence[int] | None = None) -> tuple[Scalars, Scalars]:
        """Add the gradients of a batch's losses, or of its share in a larger batch's with `totals`; return as `losses`.

        A run may put another in this method's place, one that shares the work.
        """
        with nullcontext() if self.args.autocast == "none" else bfloat16(self.device):
            losses, metrics = self.losses(EpisodeRows(batch, few_sizes=prefers_few_sizes(), totals=totals))
        sum(losses.values()).backward()
        return {name: loss.detach() for name, loss in losses.items()}, metrics

    def learn(self, experience: Any, t_env: int, episode_num: int) -> None:
        """Take `updates_per_run` updates on batches out of replay, once it can fill one."""
        args = self.args
        if not experience.can_sample(args.batch_size):
            return
        for _ in range(args.updates_per_run):
            batch = experience.sample(args.batch_size, self.device, args.cuda_graph, args.rewarded_share)
            self.train(batch, t_env, episode_num)

    def train(self, batch: Batch, t_env: int, episode_num: int) -> None:
        """Take one optimiser step on a batch on the learner's device, and move the targets when it is time.

        Raises `NotFiniteError` instead of the step where a loss or the gradient is not finite; with `cuda_graph`
        later, when it is time to log, or `check_finite` is called.
        """
        self.note_batch(batch)
        if not self.mixer_started:
            self.start_mixer(batch, t_env)
        figures = self.update(batch)
        self.updates += 1
        if self.targets_due(episode_num, self.args.target_update_interval):
            self.logger.log_stat("greedy_changed", self.greedy_changed(batch).item(), t_env)
        self.move_targets(episode_num, self.args.target_update_interval)
        if self.log_due(t_env):
            self._check_taken()
            norms = self.part_grad_norms(NETWORKS, figures["grad_norm"])
            self.log({**figures, **norms, **self.diagnose(batch)}, t_env)

    @th.no_grad()
    def start_mixer(self, batch: Batch, t_env: int) -> None:
        """Have the mixer, and its target, start as `initial_slope` says, by what it sees of the first batch.

        A start that is not above `initial_slope_above` stays as it was drawn, and with it the run, to the bit.
        """
        args, mixing, rows, seen = self.args, self.mixer.mixing, EpisodeRows(batch), []
        hook = mixing.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
        with th.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            self.losses(rows)
        hook.remove()
        condition = seen[0]
        # Of rows, or of transitions alone: some methods mix nothing at an episode's last row.
        weights = next(each for each in (rows.weights(), rows.weights(1)) if len(each) == len(condition))
        slope = mixing.slope_over(condition, weights).item()
        self.logger.log_stat("drawn_slope", slope, t_env)
        if slope > args.initial_slope_above:
            mixing.start_at(args.initial_slope, args.initial_value, condition, weights)
            self.target_mixer.load_state_dict(self.mixer.state_dict())
        self.mixer_started = True

    def note_taken(self, parts: Sequence[str]) -> None:
        """Leave the mixer as it is where any of it was learnt."""
        self.mixer_started = self.mixer_started or any(part.startswith("mixer.") for part in parts)

    def state_numbers(self) -> dict[str, int]:
        """Return the learner's counters, and whether its mixer has its start behind it."""
        return {**super().state_numbers(), "mixer_started": int(self.mixer_started)}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, int]) -> None:
        """Take up what `state_tensors` and `state_numbers` gave. Raises RuntimeError when the networks differ."""
        super().load_state(tensors, numbers)
        self.mixer_started = bool(numbers.get("mixer_started", True))  # before there was a measured start

    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """Return further figures, each by the name it is logged under, when it is time to log: nothing by default."""
        return {}

    def take_update(self, batch: Batch) -> dict[str, Tensor]:
        """Take each part's optimiser step and return the losses, and what else is logged, as scalars on the device.

        A step from numbers that are not finite is not taken, see `train`.
        """
        with self.training_mode():
            for optimiser in self.optimisers.values():
                optimiser.zero_grad(set_to_none=True)
            losses, metrics = self.backward(batch)
            norms = {
                "grad_norm" if part == NETWORKS else f"grad_norm_{part}": self.take_step(part, losses, batch)
                for part in self.parts
            }
        return {name: value.detach() for name, value in {**losses, **metrics, **norms}.items()}

    def _guard_step(self, part: str, losses: Mapping[str, Tensor], grad_norm: Tensor, batch: Batch) -> None:
        if not self.args.cuda_graph:
            super()._guard_step(part, losses, grad_norm, batch)
            return
        self.not_taken += th.logical_or(~all_finite(sum(losses.values()), grad_norm), self.not_taken > 0)
        self.optimiser.found_inf = (self.not_taken > 0).float()  # Adam's own way to leave out a step

    def _check_taken(self) -> None:
        """Raise `NotFiniteError` if a recorded update was not taken; its batch and the networks stand still since."""
        if not self.args.cuda_graph or self.not_taken == 0:
            return
        update, batch = self.updates - int(self.not_taken), self.update.batch
        self.optimiser.zero_grad(set_to_none=True)
        losses, _ = self.backward(batch)
        # Where the update draws, this one may be finite; then the norm of the recorded one is all there is to name.
        self.raise_not_finite(losses, self.update.figures["grad_norm"], batch, update)

    def check_finite(self) -> None:
        """Raise `NotFiniteError` if an update was not taken, or a tensor that a checkpoint holds is not finite."""
        self._check_taken()
        super().check_finite()

    def agent_values(self, rows: EpisodeRows) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `td` asks for: values of the actions taken, of all actions, and the target agents' of all."""
        inputs, obs = self.mac.build_inputs(rows), rows["obs"]
        q_taken, q = self.agent.score(self.agent.encode(inputs, rows.sizes), rows["actions"], obs)
        return q_taken, q, self.target_values(rows, inputs)[1]

    @th.no_grad()
    def target_values(self, rows: EpisodeRows, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the target agents' histories (R, N, H) and values of all actions (R, N, A), from inputs (R, N, I)."""
        return unrolled(self.target_agent, rows, inputs)

    def td(
        self, rows: EpisodeRows, q_taken: Tensor, q: Tensor, target_q: Tensor, rollout: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return ``L_TD`` and what is logged with it.

        Args:
            rows: the batch.
            q_taken: (R, N), the online agents' values of the actions taken.
            q: (R, N, A), their values of all actions; no gradient is asked of them.
            target_q: (R, N, A), the target agents' values.
            rollout: (R, J+1, D), imagined latents for the mixers.
        """
        states = rows["state"]
        # Mixed at an episode's last row too, where no action was taken: cheaper than picking the others' rollouts out.
        chosen = rows.now(self._mix(self.mixer, q_taken, states, rollout))
        with th.no_grad():
            next_rollout = None if rollout is None else rows.then(rollout)
            next_q = rows.then(pick(target_q, self.choices(rows, q, target_q)))
            next_values = self._mix(self.target_mixer, next_q, rows.then(states), next_rollout)
            targets = self.targets_of(rows, next_values)
        return td_loss(chosen, targets, rows.weights(1)), self.td_figures(rows, chosen, targets)

    @th.no_grad()
    def greedy_changed(self, batch: Batch) -> Tensor:
        """Return which share of a batch's greedy actions is another one than the target agents': see `share_changed`.

        Asked right before the targets move, it says how much greedy play varied since they moved last.
        """
        rows = EpisodeRows(batch)
        _, q, target_q = self.agent_values(rows)
        return share_changed(q, target_q, rows["avail_actions"])

    def choices(self, rows: EpisodeRows, q: Tensor, target_q: Tensor) -> Tensor:
        """Return the joint actions (R, N) that targets are made with, from values (R, N, A).

        With double Q the online agents choose, and the target agents only score.
        """
        return greedy_actions(q if self.args.double_q else target_q, rows["avail_actions"])

    def targets_of(self, rows: EpisodeRows, next_values: Tensor, rewards: Tensor | None = None) -> Tensor:
        """Return the λ-returns (K, X) of what transitions lead to, ``V_{t+1} (K, X)``.

        `rewards` (B, T, 1 or X) are learnt from in place of the batch's.
        """
        batch, args = rows.batch, self.args
        rewards = self.rewards(batch) if rewards is None else rewards
        mask = batch["filled"][:, 1:].float()
        ends = 1 - continues(batch["terminated"][:, :-1], mask, args.truncation)
        spread = rows.spread_pairs(next_values)
        return rows.take_pairs(td_lambda_targets(rewards, ends, mask, spread, args.gamma, args.td_lambda))

    @staticmethod
    def td_figures(rows: EpisodeRows, chosen: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return what is logged of the values of actions taken and their targets, (K, X) each."""
        chosen, weights = chosen.detach(), rows.weights(1)
        return {
            "q_taken_mean": weighted_sum(chosen.mean(dim=-1), weights),
            "target_mean": weighted_sum(targets.mean(dim=-1), weights),
            "td_error_abs": weighted_sum((chosen - targets).abs().mean(dim=-1), weights),
        }

    @staticmethod
    def _mix(mixer: nn.Module | None, qs: Tensor, states: Tensor, rollout: Tensor | None) -> Tensor:
        """Return (…, 1) from a mixer, or the agents' own values (…, N) without one.

        In float32 also where forward passes are in bfloat16: small differences of values are what is learnt from.
        """
        if mixer is None:
            return qs
        with float32(qs.device):
            mixed = mixer(qs, states) if rollout is None else mixer(qs, states, widened(rollout))
        return mixed.unsqueeze(-1)
