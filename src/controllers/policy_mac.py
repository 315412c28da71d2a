"""The controller of policies: agents draw their actions while they train, and take the likeliest in evaluation.

Letters: n episodes that are acting, N agents, W the width of `avail_actions`, P numbers of an action, H hidden size.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import torch as th
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch, Rows, Scheme
from components.episode_rows import EpisodeRows
from controllers.agent_inputs import agent_inputs, shown
from controllers.basic_mac import BasicMAC
from modules.actors import REGISTRY as ACTORS
from modules.actors.densities import Density


def refuse_settings_of_values(args: SimpleNamespace) -> None:
    """Raise ValueError where settings ask of a policy what only values do."""
    if args.evaluation_epsilon > 0:
        raise ValueError("evaluation_epsilon is for values; policies have evaluation_draws")
    if args.epsilon_repeat is not None:
        raise ValueError("epsilon_repeat is for values, which explore with ε: take epsilon_repeat=null")
    if args.acting_graph:
        raise ValueError("acting_graph=True is for values: take acting_graph=False")


class PolicyMAC(BasicMAC):
    """Reads from `args`: `actor`, `action_space`, `obs_last_action`, `obs_agent_id`, and what the actor reads."""

    def __init__(self, scheme: Scheme, groups: Mapping[str, int], args: SimpleNamespace) -> None:
        self.action_space, self.evaluation_draws = args.action_space, args.evaluation_draws
        refuse_settings_of_values(args)
        super().__init__(scheme, groups, args)
        self.shows = "mean" if self.action_space.kind == "continuous" else "p"

    def _make_agent(self, input_size: int, args: SimpleNamespace) -> nn.Module:
        return ACTORS[args.actor](input_size, args)

    def epsilon(self, t_env: int, test_mode: bool) -> float:
        """Return whether actions are drawn, 1, or the likeliest are taken, 0."""
        return 0.0 if test_mode and not self.evaluation_draws else 1.0

    def evaluates(self) -> str:
        """Return which kind of episodes it plays in evaluation, in words."""
        return "episodes with drawn actions" if self.evaluation_draws else "greedy episodes"

    def draws(self, generators: Sequence[np.random.Generator], steps: int, epsilon: float) -> np.ndarray | None:
        """Return what drawing the actions of whole episodes takes, each episode's from its own generator.

        Uniform numbers (n, steps, N, P) for choices, standard normal ones for numbers; None with ε = 0.
        """
        if epsilon == 0.0:
            return None
        shape = steps, self.n_agents, self.action_space.size
        if self.action_space.kind == "continuous":
            return np.stack([generator.standard_normal(shape, dtype=np.float32) for generator in generators])
        return np.stack([generator.random(shape) for generator in generators])

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
        """Choose actions as `BasicMAC.select_actions` does: (n, N) int64, or (n, N, P) where an action has parts."""
        density, hidden = self._density(batch, t_ep, hidden, bs)
        actions = density.mode() if epsilon == 0.0 else density.drawn(th.from_numpy(draws).to(self.device))
        if self.action_space.kind == "discrete":
            actions = actions.squeeze(-1)
        return actions.cpu().numpy(), hidden

    def step(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[np.ndarray, Tensor]:
        """Return the probabilities of choices, or means of numbers, (n, N, W), and the next hidden state."""
        density, hidden = self._density(batch, t, hidden, bs)
        return density.probabilities().cpu().numpy(), hidden

    def _density(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[Density, Tensor]:
        inputs = self.inputs_now(batch, t, bs)
        h = self.agent.encode(inputs, [len(inputs)], hidden)
        available = th.from_numpy(batch.array("avail_actions")[bs, t]).to(self.device)
        return self.agent.density(h, available), h

    def _last_actions(self, batch: EpisodeBatch, t: int, bs: Rows, shape: tuple[int, ...]) -> np.ndarray:
        if self.action_space.kind == "discrete":
            return super()._last_actions(batch, t, bs, shape)
        if t == 0:
            return np.zeros((*shape, self.n_actions), dtype=np.float32)
        taken = th.from_numpy(batch.array("actions")[bs, t - 1])
        taken = taken if self.action_space.kind == "continuous" else taken.long()
        return shown(taken, self.n_actions, self.action_space).numpy()

    def build_inputs(self, rows: EpisodeRows) -> Tensor:
        """Return what the agents read at every row, (R, N, I): ``[o_t, a_{t-1}, i]``."""
        return agent_inputs(rows, self.n_actions, self.obs_last_action, self.obs_agent_id, self.action_space)
