"""The controller of SMMAE: agents who now and then follow an exploration policy of their own (Zhang et al., 2023)."""

from types import SimpleNamespace

import numpy as np
import torch as th
from torch import Tensor, nn

from components.action_selectors import select_epsilon_greedy, select_exploring
from components.episode_batch import EpisodeBatch, Rows
from controllers.basic_mac import BasicMAC
from modules.agents.explorer import Explorer


class SMMAEMAC(BasicMAC):
    """`BasicMAC` with an `Explorer`; the hidden state is the agents' and then the explorer's, (n, N, 2H).

    While ε decays every agent explores so often, and then as its `Explorer.shares` say. Who explores takes a random
    action with probability `explorer_random`, else the explorer's best one. Nobody explores in evaluation: there
    nothing reads the state.
    """

    uniforms = 3  # see `select_exploring`

    def _make_agent(self, input_size: int, args: SimpleNamespace) -> nn.Module:
        if args.epsilon_repeat is not None:
            raise ValueError("SMMAE explores by a policy of its own: take epsilon_repeat=null")
        self.explorer_random: float = args.explorer_random
        return nn.ModuleDict({"agent": super()._make_agent(input_size, args), "explorer": Explorer(args)})

    @property
    def values(self) -> nn.Module:
        """The network of the agents' values."""
        return self.agent["agent"]

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return the hidden state (B, N, 2H) before the first step: zeros."""
        return super().init_hidden(batch_size).repeat(1, 1, 2)

    def epsilon(self, t_env: int, test_mode: bool) -> float | np.ndarray:
        """Return the probability of exploring, once ε has decayed each agent's, (N,); in evaluation as everywhere."""
        if test_mode or t_env < self.schedule.time_length:
            return super().epsilon(t_env, test_mode)
        return self.agent["explorer"].shares(t_env).cpu().numpy()

    @th.no_grad()
    def select_actions(
        self,
        batch: EpisodeBatch,
        t_ep: int,
        hidden: Tensor,
        epsilon: float | np.ndarray,
        draws: np.ndarray | None,
        bs: Rows = slice(None),
    ) -> tuple[np.ndarray, Tensor]:
        """Choose actions as `BasicMAC` does, with draws (n, 3, N), and an ε that may be each agent's own."""
        q, hidden = self.step(batch, t_ep, hidden, bs)
        avail = batch.array("avail_actions")[bs, t_ep]
        if draws is None:
            return select_epsilon_greedy(q, avail, 0.0, None), hidden
        own, exploring = hidden.chunk(2, dim=-1)
        states = batch.raw("state")[bs, t_ep].float().to(self.device).unsqueeze(1)
        exploring = self.agent["explorer"].encode(states, [len(states)], exploring)
        found = self.agent["explorer"].q_from_hidden(exploring).cpu().numpy()
        actions = select_exploring(q, found, avail, epsilon, self.explorer_random, draws)
        return actions, th.cat([own, exploring], dim=-1)

    def step(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[np.ndarray, Tensor]:
        """Return Q (n, N, A) for the observations of one step, and the next hidden state; the explorer's stays."""
        own, exploring = hidden.chunk(2, dim=-1)
        q, own = super().step(batch, t, own, bs)
        return q, th.cat([own, exploring], dim=-1)
