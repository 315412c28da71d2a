"""What every value learner does: one optimiser over named modules, target copies, logging, saving.

Letters: R rows and K transitions of a batch (see `EpisodeRows`), N agents, A actions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn

import torch as th
from torch import Tensor, nn

from components.episode_rows import Batch, EpisodeRows
from learners.cuda_graph import GraphedUpdate
from learners.losses import td_loss, weighted_sum
from learners.not_finite import NotFiniteError, all_finite, not_finite, quantities
from learners.targets import greedy_actions, pick, td_lambda_targets
from modules.linear import prefers_few_sizes
from modules.mixers import REGISTRY as MIXERS

Scalars = dict[str, Tensor]


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a network whose parameters no gradient reaches: a target."""
    return deepcopy(module).requires_grad_(False)


class BaseLearner(ABC):
    """Trains the agent, the mixer and whatever `extra` modules a method adds.

    Reads from `args`: `mixer`, `gamma`, `td_lambda`, `double_q`, `lr`, `optim_eps`, `grad_norm_clip`,
    `target_update_interval` (episodes), `learner_log_interval` (environment steps), `cuda_graph`.
    """

    # Whether `losses` add up as its docstring says, so that processes may share a batch. Who overrides `losses` says so
    # anew.
    SUMS_OVER_ROWS: ClassVar[bool] = False
    # Settings that are first read while learning. One that is missing is to be told before that.
    READS_LATER: ClassVar[tuple[str, ...]] = (
        "gamma", "td_lambda", "double_q", "grad_norm_clip", "target_update_interval",
    )  # fmt: skip

    def __init__(
        self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace, extra: dict[str, nn.Module]
    ) -> None:
        for name in self.READS_LATER:
            getattr(args, name)
        self.mac, self.logger, self.args = mac, logger, args
        self.device = mac.device
        self.agent: nn.Module = mac.agent
        build_mixer = MIXERS[args.mixer]
        self.mixer: nn.Module | None = None if build_mixer is None else build_mixer(args).to(self.device)
        mixers = {} if self.mixer is None else {"mixer": self.mixer}
        self.trained: dict[str, nn.Module] = {"agent": self.agent, **mixers, **extra}
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = None if self.mixer is None else frozen_copy(self.mixer)
        self.targets = {"agent": self.target_agent}
        if self.target_mixer is not None:
            self.targets["mixer"] = self.target_mixer
        for module in (*self.trained.values(), *self.targets.values()):
            module.to(self.device).eval()
        self.parameters = [p for module in self.trained.values() for p in module.parameters() if p.requires_grad]
        self.optimiser = th.optim.Adam(
            self.parameters, lr=args.lr, eps=args.optim_eps, fused=True, capturable=args.cuda_graph
        )
        # Updates that were not taken because of numbers that are not finite: counted on the device, for a recorded
        # update must wait for nothing. After the first nothing changes any more, not even the batch.
        self.not_taken = th.zeros((), device=self.device)
        self.update = GraphedUpdate(self.take_step, self.not_taken) if args.cuda_graph else self.take_step
        self.updates = 0
        self.last_target_update_episode = 0
        self.last_log_t = -args.learner_log_interval - 1

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
        losses, metrics = self.losses(EpisodeRows(batch, few_sizes=prefers_few_sizes(), totals=totals))
        sum(losses.values()).backward()
        return {name: loss.detach() for name, loss in losses.items()}, metrics

    def train(self, batch: Batch, t_env: int, episode_num: int) -> None:
        """Take one optimiser step on a batch on the learner's device, and move the targets when it is time.

        Raises `NotFiniteError` instead of the step where a loss or the gradient is not finite; with `cuda_graph`
        later, when it is time to log, or `check_finite` is called.
        """
        figures = self.update(batch)
        self.updates += 1
        if episode_num - self.last_target_update_episode >= self.args.target_update_interval:
            self.update_targets()
            self.last_target_update_episode = episode_num
        if t_env - self.last_log_t >= self.args.learner_log_interval:
            self._check_taken()
            looked_up = self.part_grad_norms(figures["grad_norm"]) | self.diagnose(batch)
            for name, value in {**figures, **looked_up}.items():
                self.logger.log_stat(name, value.item(), t_env)
            self.last_log_t = t_env

    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """Return further figures, each by the name it is logged under, when it is time to log: nothing by default."""
        return {}

    def part_grad_norms(self, grad_norm: Tensor) -> dict[str, Tensor]:
        """Return the norm of the last gradient on each part of the networks, before clipping, as `grad_norm` is."""
        norms = {}
        for module_name, module in self.trained.items():
            for part_name, part in module.named_children():
                grads = [p.grad for p in part.parameters() if p.grad is not None]
                if grads:
                    norms[f"grad_norm_{module_name}.{part_name}"] = nn.utils.get_total_norm(grads)
        clipped = th.stack(list(norms.values())).norm().clamp(min=1e-30)
        return {name: norm / clipped * grad_norm for name, norm in norms.items()}

    def take_step(self, batch: Batch) -> dict[str, Tensor]:
        """Take one optimiser step and return the losses, and what else is logged, as scalars on the device.

        A step from numbers that are not finite is not taken, see `train`.
        """
        for module in self.trained.values():
            module.train()
        self.optimiser.zero_grad(set_to_none=True)
        losses, metrics = self.backward(batch)
        total = sum(losses.values())
        grad_norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        self._guard_step(losses, total, grad_norm, batch)
        nn.utils.clip_grads_with_norm_(self.parameters, self.args.grad_norm_clip, grad_norm)
        self.optimiser.step()
        for module in self.trained.values():
            module.eval()
        return {name: value.detach() for name, value in {**losses, **metrics, "grad_norm": grad_norm}.items()}

    def _guard_step(self, losses: dict[str, Tensor], total: Tensor, grad_norm: Tensor, batch: Batch) -> None:
        """See to it that no step is taken from numbers that are not finite: the norm of the gradient shows them all."""
        finite = all_finite(total, grad_norm)
        if self.args.cuda_graph:
            self.not_taken += ~finite | (self.not_taken > 0)
            self.optimiser.found_inf = (self.not_taken > 0).float()  # Adam's own way to leave out a step
        elif not finite:
            self._raise_not_finite(losses, grad_norm, batch, self.updates)

    def _raise_not_finite(
        self, losses: dict[str, Tensor], grad_norm: Tensor, batch: Batch, update: int
    ) -> NoReturn:
        named = self._named_parameters()
        gradients = [(f"gradient of {name}", p.grad) for name, p in named if p.grad is not None]
        candidates = [*named, *quantities(batch).items(), *losses.items(), *gradients, ("grad_norm", grad_norm)]
        raise NotFiniteError(not_finite(candidates), update, batch)

    def _named_parameters(self) -> list[tuple[str, Tensor]]:
        return [(f"{kind}.{name}", p) for kind, module in self.trained.items() for name, p in module.named_parameters()]

    def _check_taken(self) -> None:
        """Raise `NotFiniteError` if a recorded update was not taken; its batch and the networks stand still since."""
        if not self.args.cuda_graph or self.not_taken == 0:
            return
        update, batch = self.updates - int(self.not_taken), self.update.batch
        self.optimiser.zero_grad(set_to_none=True)
        losses, _ = self.backward(batch)
        # Where the update draws, this one may be finite; then the norm of the recorded one is all there is to name.
        self._raise_not_finite(losses, self.update.figures["grad_norm"], batch, update)

    def check_finite(self) -> None:
        """Raise `NotFiniteError` if an update was not taken, or a tensor that a checkpoint holds is not finite."""
        self._check_taken()
        if found := not_finite(self.state_tensors().items()):
            raise NotFiniteError(found, self.updates, None)

    def update_targets(self) -> None:
        """Copy parameters and buffers to the targets (hard update)."""
        for name, target in self.targets.items():
            target.load_state_dict(self.trained[name].state_dict())

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
        batch, weights, states = rows.batch, rows.weights(1), rows["state"]
        # Mixed at an episode's last row too, where no action was taken: cheaper than picking the others' rollouts out.
        chosen = rows.now(self._mix(self.mixer, q_taken, states, rollout))
        with th.no_grad():
            # With double Q the online agents choose and the target agents score.
            best = greedy_actions(q if self.args.double_q else target_q, rows["avail_actions"])
            next_rollout = None if rollout is None else rows.then(rollout)
            next_q = rows.then(pick(target_q, best))
            next_values = self._mix(self.target_mixer, next_q, rows.then(states), next_rollout)
            targets = rows.take_pairs(
                td_lambda_targets(
                    batch["reward"][:, :-1],
                    batch["terminated"][:, :-1].float(),
                    batch["filled"][:, 1:].float(),
                    rows.spread_pairs(next_values),
                    self.args.gamma,
                    self.args.td_lambda,
                )
            )
        metrics = {
            "q_taken_mean": weighted_sum(chosen.detach().mean(dim=-1), weights),
            "target_mean": weighted_sum(targets.mean(dim=-1), weights),
            "td_error_abs": weighted_sum((chosen.detach() - targets).abs().mean(dim=-1), weights),
        }
        return td_loss(chosen, targets, weights), metrics

    @staticmethod
    def _mix(mixer: nn.Module | None, qs: Tensor, states: Tensor, rollout: Tensor | None) -> Tensor:
        """Return (…, 1) from a mixer, or the agents' own values (…, N) without one."""
        if mixer is None:
            return qs
        return (mixer(qs, states) if rollout is None else mixer(qs, states, rollout)).unsqueeze(-1)

    def state_tensors(self) -> dict[str, Tensor]:
        """Return every tensor that training needs to go on: modules, targets, optimiser, by dotted name."""
        tensors = {}
        for kind, modules in (("trained", self.trained), ("target", self.targets)):
            for name, module in modules.items():
                tensors |= {f"{kind}.{name}.{key}": value for key, value in module.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": th.as_tensor(value) for key, value in state.items()}
        return tensors

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
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("optimiser.", tensors).items():
            index, _, name = key.partition(".")
            known = index.isdecimal() and int(index) < len(self.parameters)
            if not known or value.shape not in ((), self.parameters[int(index)].shape):
                raise RuntimeError(f"optimiser.{key} belongs to no parameter")
            state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.updates = numbers["updates"]
        self.last_target_update_episode = numbers["last_target_update_episode"]
        self.last_log_t = numbers["last_log_t"]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
