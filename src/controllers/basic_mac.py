"""The controller of agents that share parameters: builds their inputs, unrolls them, chooses actions.

It holds no hidden state: acting and learning pass theirs in and get the next one back, so neither disturbs the other.

Letters: B episodes, T steps, N agents, A actions, I agent input size, H hidden size; n episodes that are acting.
"""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import torch as th
from torch import Tensor, nn

from components.action_selectors import select_epsilon_greedy
from components.episode_batch import EpisodeBatch, Rows, Scheme
from components.epsilon_schedules import DecayThenFlatSchedule
from modules.agents import REGISTRY as AGENTS


class BasicMAC:
    """Reads from `args`: `agent`, `obs_last_action`, `obs_agent_id`, the ε settings, and what the agent reads."""

    def __init__(self, scheme: Scheme, groups: Mapping[str, int], args: SimpleNamespace) -> None:
        self.n_agents = groups["agents"]
        self.n_actions = scheme["avail_actions"]["vshape"][0]
        self.obs_last_action, self.obs_agent_id = args.obs_last_action, args.obs_agent_id
        input_size = (
            scheme["obs"]["vshape"][0] + self.n_actions * args.obs_last_action + self.n_agents * args.obs_agent_id
        )
        self.agent: nn.Module = AGENTS[args.agent](input_size, args)
        self.hidden_size: int = args.rnn_hidden_dim
        self.schedule = DecayThenFlatSchedule(args.epsilon_start, args.epsilon_finish, args.epsilon_anneal_time)

    @property
    def device(self) -> th.device:
        """Where the agent's parameters lie."""
        return next(self.agent.parameters()).device

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return the hidden state (B, N, H) before the first step: zeros."""
        return th.zeros(batch_size, self.n_agents, self.hidden_size, device=self.device)

    def epsilon(self, t_env: int, test_mode: bool) -> float:
        """Return the probability of a random action; evaluation is greedy."""
        return 0.0 if test_mode else self.schedule.eval(t_env)

    @th.no_grad()
    def select_actions(
        self,
        batch: EpisodeBatch,
        t_ep: int,
        hidden: Tensor,
        epsilon: float,
        draws: np.ndarray | None,
        bs: Rows = slice(None),
    ) -> tuple[np.ndarray, Tensor]:
        """Choose actions for the episodes `bs` at step `t_ep`.

        Args:
            batch: episodes on the CPU, with observations and availability written up to `t_ep`.
            t_ep: step within the episode.
            hidden: (n, N, H), as `init_hidden` or the last call gave it.
            epsilon: probability of a random action.
            draws: (n, 2, N) uniform numbers, or None with ε = 0; see `select_epsilon_greedy`.
            bs: the n episodes of `batch` that act.

        Returns:
            actions (n, N) int64 and the next hidden state (n, N, H).
        """
        q, hidden = self.step(batch, t_ep, hidden, bs)
        return select_epsilon_greedy(q, batch.array("avail_actions")[bs, t_ep], epsilon, draws), hidden

    def step(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[np.ndarray, Tensor]:
        """Return Q (n, N, A) for the observations of one step, as an array, and the next hidden state."""
        obs = th.as_tensor(batch.array("obs")[bs, t]).to(self.device).float()
        last = None
        if self.obs_last_action and t > 0:
            taken = th.as_tensor(batch.array("actions")[bs, t - 1, :, 0]).to(self.device).long()
            last = th.nn.functional.one_hot(taken, self.n_actions).float()
        h = self.agent.encode(self._inputs(obs[:, None], None if last is None else last[:, None]), hidden)
        return self.agent.q_from_hidden(h, obs[:, None])[:, 0].cpu().numpy(), h[:, 0]

    def build_inputs(self, batch: EpisodeBatch) -> Tensor:
        """Return what the agents read at every step of the episodes, (B, T, N, I): ``[o_t, a_{t-1}, i]``."""
        last = None
        if self.obs_last_action:
            onehot = batch["actions_onehot"]
            last = th.cat([th.zeros_like(onehot[:, :1]), onehot[:, :-1]], dim=1)
        return self._inputs(batch["obs"], last)

    def _inputs(self, obs: Tensor, last: Tensor | None) -> Tensor:
        B, T, N, _ = obs.shape
        parts = [obs]
        if self.obs_last_action:
            parts.append(obs.new_zeros(B, T, N, self.n_actions) if last is None else last)
        if self.obs_agent_id:
            parts.append(th.eye(N, device=obs.device).expand(B, T, N, N))
        return th.cat(parts, dim=-1)
