"""What every value learner does: one optimiser over named modules, target copies, logging, saving.

Letters: B episodes, T transitions (a batch has T+1 rows), N agents, A actions, X = 1 with a mixer, N without.
"""

from abc import ABC, abstractmethod
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch, Scheme
from learners.losses import masked_mean, td_loss
from learners.targets import greedy_actions, td_lambda_targets
from modules.mixers import REGISTRY as MIXERS


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a network whose parameters no gradient reaches: a target."""
    return deepcopy(module).requires_grad_(False)


class BaseLearner(ABC):
    """Trains the agent, the mixer and whatever `extra` modules a method adds.

    Reads from `args`: `mixer`, `gamma`, `td_lambda`, `double_q`, `lr`, `optim_eps`, `grad_norm_clip`,
    `target_update_interval` (episodes), `learner_log_interval` (environment steps).
    """

    def __init__(
        self, mac: Any, scheme: Scheme, logger: Any, args: SimpleNamespace, extra: dict[str, nn.Module]
    ) -> None:
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
        self.parameters = [p for module in self.trained.values() for p in module.parameters()]
        self.optimiser = th.optim.Adam(self.parameters, lr=args.lr, eps=args.optim_eps)
        self.updates = 0
        self.last_target_update_episode = 0
        self.last_log_t = -args.learner_log_interval - 1

    @abstractmethod
    def losses(self, batch: EpisodeBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses to be added up, and further scalars to be logged, each by the name it is logged under."""

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """Take one optimiser step on a batch on the learner's device, and move the targets when it is time."""
        for module in self.trained.values():
            module.train()
        losses, metrics = self.losses(batch)
        self.optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        grad_norm = nn.utils.clip_grad_norm_(self.parameters, self.args.grad_norm_clip)
        self.optimiser.step()
        for module in self.trained.values():
            module.eval()
        self.updates += 1
        if episode_num - self.last_target_update_episode >= self.args.target_update_interval:
            self.update_targets()
            self.last_target_update_episode = episode_num
        if t_env - self.last_log_t >= self.args.learner_log_interval:
            for name, value in {**losses, **metrics, "grad_norm": grad_norm}.items():
                self.logger.log_stat(name, value.item(), t_env)
            self.last_log_t = t_env

    def update_targets(self) -> None:
        """Copy parameters and buffers to the targets (hard update)."""
        for name, target in self.targets.items():
            target.load_state_dict(self.trained[name].state_dict())

    def td(
        self, batch: EpisodeBatch, q: Tensor, target_h: Tensor, rollout: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return ``L_TD`` and what is logged with it.

        Args:
            batch: episodes of T+1 rows.
            q: (B, T+1, N, A), the online agents' values.
            target_h: (B, T+1, N, H), the target agents' hidden states.
            rollout: (B, T+1, J+1, D), imagined latents for the mixers; row t belongs to time t.
        """
        mask = transition_mask(batch)
        actions, states = batch["actions"], batch["state"]
        q_taken = q[:, :-1].gather(-1, actions[:, :-1]).squeeze(-1)
        chosen = self._mix(self.mixer, q_taken, states[:, :-1], None if rollout is None else rollout[:, :-1])
        with th.no_grad():
            target_q = self._target_values(batch, q, target_h)[:, 1:]
            next_rollout = None if rollout is None else rollout[:, 1:].detach()
            next_values = self._mix(self.target_mixer, target_q, states[:, 1:], next_rollout)
            targets = td_lambda_targets(
                batch["reward"][:, :-1],
                batch["terminated"][:, :-1].float(),
                mask.unsqueeze(-1),
                next_values,
                self.args.gamma,
                self.args.td_lambda,
            )
        metrics = {
            "q_taken_mean": masked_mean(chosen.detach().mean(dim=-1), mask),
            "target_mean": masked_mean(targets.mean(dim=-1), mask),
            "td_error_abs": masked_mean((chosen.detach() - targets).abs().mean(dim=-1), mask),
        }
        return td_loss(chosen, targets, mask), metrics

    def _target_values(self, batch: EpisodeBatch, q: Tensor, target_h: Tensor) -> Tensor:
        """Return ``max_a Q_i^-`` (B, T+1, N): with double Q the online agents choose and the target agents score."""
        avail, obs = batch["avail_actions"], batch["obs"]
        if self.args.double_q:
            return self.target_agent.q_of_actions(target_h, greedy_actions(q.detach(), avail), obs)
        target_q = self.target_agent.q_from_hidden(target_h, obs)
        return target_q.gather(-1, greedy_actions(target_q, avail).unsqueeze(-1)).squeeze(-1)

    @staticmethod
    def _mix(mixer: nn.Module | None, qs: Tensor, states: Tensor, rollout: Tensor | None) -> Tensor:
        """Return (B, T, 1) from a mixer, or the agents' own values (B, T, N) without one."""
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
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.updates = numbers["updates"]
        self.last_target_update_episode = numbers["last_target_update_episode"]
        self.last_log_t = numbers["last_log_t"]


def transition_mask(batch: EpisodeBatch) -> Tensor:
    """Return (B, T) float, 1 where transition t took place: where the row after it is filled."""
    return batch["filled"][:, 1:, 0].float()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
