"""The controller of agents that share parameters: builds their inputs, unrolls them, chooses actions.

It holds no hidden state: acting and learning pass theirs in and get the next one back, so neither disturbs the other.

Letters: B episodes, R rows, N agents, A actions, I agent input size, H hidden size; n episodes that are acting.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import torch as th
from torch import Tensor, nn

from components.action_selectors import repeat_exploration, select_epsilon_greedy, select_preferred
from components.episode_batch import EpisodeBatch, Rows, Scheme
from components.episode_rows import EpisodeRows
from components.epsilon_schedules import DecayThenFlatSchedule
from controllers.acting_step import ActingStep
from controllers.agent_inputs import agent_inputs
from modules.agents import REGISTRY as AGENTS


class BasicMAC:
    """Reads from `args`: `agent`, `obs_last_action`, `obs_agent_id`, `acting_graph`, the ε settings, and what the
    agent reads.
    """

    shows = "Q"  # what `step` returns, as films name it

    def __init__(self, scheme: Scheme, groups: Mapping[str, int], args: SimpleNamespace) -> None:
        self.n_agents = groups["agents"]
        self.n_actions = scheme["avail_actions"]["vshape"][0]
        self.obs_last_action, self.obs_agent_id = args.obs_last_action, args.obs_agent_id
        self.obs_size: int = scheme["obs"]["vshape"][0]
        self.input_size = (
            self.obs_size + self.n_actions * args.obs_last_action + self.n_agents * args.obs_agent_id
        )
        self.agent = self._make_agent(self.input_size, args)
        self.acting_step = ActingStep(args.acting_graph)
        self.hidden_size: int = args.rnn_hidden_dim
        self._ids = np.eye(self.n_agents, dtype=np.float32)
        self._onehots = np.eye(self.n_actions + 1, self.n_actions, dtype=np.float32)  # the last row: no action yet
        self.evaluation_epsilon: float = args.evaluation_epsilon
        self.epsilon_repeat: float | None = args.epsilon_repeat
        self.schedule = DecayThenFlatSchedule(args.epsilon_start, args.epsilon_finish, args.epsilon_anneal_time)

    def _make_agent(self, input_size: int, args: SimpleNamespace) -> nn.Module:
        if args.evaluation_draws:
            raise ValueError("evaluation_draws is for policies; values have evaluation_epsilon")
        return AGENTS[args.agent](input_size, args)

    @property
    def uniforms(self) -> int:
        """How many uniform numbers an agent's choice takes."""
        return 2 if self.epsilon_repeat is None else 2 + self.n_actions

    @property
    def values(self) -> nn.Module:
        """The network of the agents' values."""
        return self.agent

    @property
    def device(self) -> th.device:
        """Where the agent's parameters lie."""
        return next(self.agent.parameters()).device

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return the hidden state (B, N, H) before the first step: zeros."""
        return th.zeros(batch_size, self.n_agents, self.hidden_size, device=self.device)

    def epsilon(self, t_env: int, test_mode: bool) -> float:
        """Return the probability of a random action: `evaluation_epsilon` in evaluation, which is greedy with 0."""
        return self.evaluation_epsilon if test_mode else self.schedule.eval(t_env)

    def evaluates(self) -> str:
        """Return which kind of episodes it plays in evaluation, in words."""
        return f"episodes with ε = {self.evaluation_epsilon:g}" if self.evaluation_epsilon > 0 else "greedy episodes"

    def draws(
        self, generators: Sequence[np.random.Generator], steps: int, epsilon: float | np.ndarray
    ) -> np.ndarray | None:
        """Return what choosing the actions of whole episodes takes, each episode's from its own generator.

        Uniform numbers (n, steps, `uniforms`, N), see `select_epsilon_greedy`, or with `epsilon_repeat` what
        `repeat_exploration` makes of them; None with ε = 0, which draws nothing.
        """
        if not np.any(epsilon):
            return None
        drawn = np.stack([generator.random((steps, self.uniforms, self.n_agents)) for generator in generators])
        return drawn if self.epsilon_repeat is None else repeat_exploration(drawn, epsilon, self.epsilon_repeat)

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
            draws: (n, …, N), this step's part of `draws`, or None with ε = 0.
            bs: the n episodes of `batch` that act.

        Returns:
            actions (n, N) int64 and the next hidden state (n, N, H).
        """
        q, hidden = self.step(batch, t_ep, hidden, bs)
        avail = batch.array("avail_actions")[bs, t_ep]
        if self.epsilon_repeat is None or draws is None:
            return select_epsilon_greedy(q, avail, epsilon, draws), hidden
        return select_preferred(q, avail, draws), hidden

    def step(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[np.ndarray, Tensor]:
        """Return Q (n, N, A) for the observations of one step, as an array, and the next hidden state."""
        parts = self.read_now(batch, t, bs)
        if self.acting_step.record or hidden.is_cuda:
            return self.acting_step(self._values_of, parts, hidden)
        q, h = self._values_of(_joined(parts), hidden)
        return q.numpy(), h

    def _values_of(self, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return Q (n, N, A) and the next hidden state, from what the agents read (n, N, I)."""
        h = self.values.encode(inputs, [len(inputs)], hidden)
        return self.values.q_from_hidden(h, inputs[..., : self.obs_size]), h

    def inputs_now(self, batch: EpisodeBatch, t: int, bs: Rows) -> Tensor:
        """Return what the agents read at one step, (n, N, I) on their device."""
        return _joined(self.read_now(batch, t, bs)).to(self.device)

    def read_now(self, batch: EpisodeBatch, t: int, bs: Rows) -> list[np.ndarray]:
        """Return what the agents read at one step, (n, N, …) each: the observation first, in all `input_size`."""
        obs = batch.array("obs")[bs, t]
        parts = [obs]
        if self.obs_last_action:
            parts.append(self._last_actions(batch, t, bs, obs.shape[:2]))
        if self.obs_agent_id:
            parts.append(np.broadcast_to(self._ids, (len(obs), *self._ids.shape)))
        return parts

    def _last_actions(self, batch: EpisodeBatch, t: int, bs: Rows, shape: tuple[int, ...]) -> np.ndarray:
        """Return the last actions as one-hots, (n, N, A); `shape` is (n, N)."""
        taken = batch.array("actions")[bs, t - 1, :, 0] if t > 0 else np.full(shape, self.n_actions)
        return self._onehots[taken]

    def build_inputs(self, rows: EpisodeRows) -> Tensor:
        """Return what the agents read at every row, (R, N, I): ``[o_t, a_{t-1}, i]``."""
        return agent_inputs(rows, self.n_actions, self.obs_last_action, self.obs_agent_id)


def _joined(parts: list[np.ndarray]) -> Tensor:
    return th.from_numpy(np.concatenate(parts, axis=-1, dtype=np.float32))
