"""What PyMARL2 and EPyMARL do in other ways than the method's files expect, all of it.

Here a controller keeps the hidden state between two steps, chooses with the host's action selectors and builds its
agent from the host's registry; a learner moves, saves and loads itself; episodes hold integers for flags; and EPyMARL
has other names for some settings, and a reward per agent with `common_reward=False`.

Letters: B episodes, T transitions, R rows, N agents, A actions, I agent input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch as th
from mmsa.components.episode_rows import EpisodeRows
from mmsa.controllers.agent_inputs import agent_inputs
from mmsa.learners.mmsa_learner import MMSALearner as Learner
from torch import Tensor

from components.action_selectors import REGISTRY as ACTION_SELECTORS
from mmsa.declared import check
from modules.agents import REGISTRY as AGENTS

FLAGS = ("avail_actions", "filled", "terminated")
MODELS = "mmsa.npz"  # what a folder of saved models holds
NUMBERS = "numbers."  # what the names of counters begin with there


def adapted(args: SimpleNamespace, scheme: Mapping[str, Any]) -> SimpleNamespace:
    """Return the host's settings under the names that the method's files read, and the sizes that these need besides.

    Raises ValueError for a value that is out of range, for prioritised replay, which would weigh the losses, and for
    rewards that are standardised.
    """
    names = vars(args)
    check(names)
    if names.get("standardise_rewards"):
        raise ValueError("MMSA learns from rewards as they are: take standardise_rewards=False")
    if names.get("use_per"):
        raise ValueError("MMSA draws episodes uniformly from replay: take use_per=False")
    return SimpleNamespace(**{
        **names,
        "rnn_hidden_dim": names["hidden_dim" if "hidden_dim" in names else "rnn_hidden_dim"],
        "obs_shape": int(np.prod(scheme["obs"]["vshape"])),
        "state_shape": int(np.prod(args.state_shape)),
        "share_parameters": True,
        "use_rnn": names.get("use_rnn", True),
        "memoryless": "tanh",
        "standardise_rewards": False,
        "truncation": "bootstrap",
        "autocast": "none",
        "acting_graph": False,
        "target_update_tau": None,
        "weight_decay": 0.0,  # Adam of an older Torch has no decoupled one
        "epsilon_repeat": None,
        "cuda_graph": False,  # batches here differ in length from update to update
    })  # fmt: skip


def team_reward(args: SimpleNamespace) -> Callable[[Tensor], Tensor]:
    """Return what makes the reward to learn from, (…, 1), of the one that is stored.

    With EPyMARL's `common_reward=False` that is one per agent (…, N). A mixer learns the value of their sum or mean, as
    `reward_scalarisation` says; without one each agent keeps its own.
    """
    if args.mixer == "none" or vars(args).get("common_reward", True):
        return lambda reward: reward
    return partial({"sum": th.sum, "mean": th.mean}[args.reward_scalarisation], dim=-1, keepdim=True)


class Episodes:
    """The host's episodes as the method's files ask for them, see `Batch`: flags as bool, states flat, one reward."""

    def __init__(self, batch: Any, reward: Callable[[Tensor], Tensor]) -> None:
        self.batch, self.reward = batch, reward

    def __getitem__(self, name: str) -> Tensor:
        value = self.batch[name]
        if name in FLAGS:
            return value.bool()
        if name == "state":
            return value.flatten(2)
        return self.reward(value) if name == "reward" else value


class BasicMAC:
    """The controller that `SaleMAC` stands on: agents that share parameters and act in the host's runners.

    Reads from `args`: `agent`, `action_selector` and its ε settings, `obs_last_action`, `obs_agent_id`.
    """

    def __init__(self, scheme: Mapping[str, Any], groups: Mapping[str, int], args: SimpleNamespace) -> None:
        args = adapted(args, scheme)
        self.n_agents, self.n_actions = args.n_agents, args.n_actions
        self.obs_last_action, self.obs_agent_id = args.obs_last_action, args.obs_agent_id
        input_size = args.obs_shape + self.n_actions * args.obs_last_action + self.n_agents * args.obs_agent_id
        self.agent = AGENTS[args.agent](input_size, args)
        if not all(hasattr(self.agent, verb) for verb in ("encode", "q_from_hidden", "score", "q_imagined")):
            needed = "encode, q_from_hidden, score and q_imagined"
            raise ValueError(f"mac=sale_mac needs an agent with {needed}: sale_rnn, not {args.agent}")
        self.action_selector = ACTION_SELECTORS[args.action_selector](args)
        self.hidden_states: Tensor | None = None

    @property
    def device(self) -> th.device:
        """Where the agent's parameters lie."""
        return next(self.agent.parameters()).device

    def init_hidden(self, batch_size: int) -> None:
        """Begin new episodes: histories start from zeros."""
        self.hidden_states = None

    @th.no_grad()
    def select_actions(
        self, ep_batch: Any, t_ep: int, t_env: int, bs: slice | Sequence[int] = slice(None), test_mode: bool = False
    ) -> Tensor:
        """Return the actions (n, N) of the episodes `bs` at step `t_ep`; the hidden states of all move on."""
        obs = ep_batch["obs"][:, t_ep]
        inputs = [obs]
        if self.obs_last_action:
            last = ep_batch["actions_onehot"][:, max(t_ep - 1, 0)]
            inputs.append(last if t_ep > 0 else th.zeros_like(last))
        if self.obs_agent_id:
            inputs.append(th.eye(self.n_agents, device=obs.device).expand(len(obs), -1, -1))
        self.hidden_states = self.agent.encode(th.cat(inputs, dim=-1), [len(obs)], self.hidden_states)
        q = self.agent.q_from_hidden(self.hidden_states, obs)
        available = ep_batch["avail_actions"][:, t_ep]
        return self.action_selector.select_action(q[bs], available[bs], t_env, test_mode=test_mode)

    def build_inputs(self, rows: EpisodeRows) -> Tensor:
        """Return what the agents read at every row, (R, N, I): ``[o_t, a_{t-1}, i]``."""
        return agent_inputs(rows, self.n_actions, self.obs_last_action, self.obs_agent_id)


class MMSALearner(Learner):
    """MMSA's learner, as the host's loop calls it."""

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, adapted(args, scheme))
        self.reward = team_reward(args)

    def train(self, batch: Any, t_env: int, episode_num: int) -> None:
        """Take one optimiser step on the host's `EpisodeBatch`."""
        super().train(Episodes(batch, self.reward), t_env, episode_num)

    def cuda(self) -> None:
        """Move everything to the GPU; the optimiser's moments follow at its first step."""
        for module in (*self.trained.values(), *self.targets.values()):
            module.cuda()
        self.device = self.mac.device

    def save_models(self, path: str) -> None:
        """Write weights, targets, optimiser and counters to a folder."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self.state_tensors().items()}
        counters = {f"{NUMBERS}{name}": np.array(number) for name, number in self.state_numbers().items()}
        np.savez(f"{path}/{MODELS}", **arrays, **counters)

    def load_models(self, path: str) -> None:
        """Take up what `save_models` wrote; runs no code from it. Hosts count episodes anew then, and so do targets."""
        with np.load(f"{path}/{MODELS}", allow_pickle=False) as saved:
            arrays = dict(saved)
        numbers = {name[len(NUMBERS) :]: int(arrays.pop(name)) for name in [*arrays] if name.startswith(NUMBERS)}
        tensors = {name: th.from_numpy(array) for name, array in arrays.items()}
        self.load_state(tensors, {**numbers, "last_target_update_episode": 0})
