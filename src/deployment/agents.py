"""The greedy agents of a checkpoint, to act in any program: no environment of ours is needed, and no code is run.

Letters: N agents, O observation size, W the width of `avail_actions`, P numbers of an action.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch, episode_scheme
from controllers import GREEDY
from controllers import REGISTRY as CONTROLLERS
from envs import check_archived, make_env
from envs.multiagentenv import EnvInfo
from settings import archived_settings, read_info, to_args
from training.assembly import with_sizes
from training.checkpoint import find_checkpoint, load_checkpoint, run_folder_of
from training.task_sizes import info_of
from utils.errors import UserError

CONFIG_DIR = Path(__file__).parents[1] / "config"
Given = np.ndarray | Sequence[Any] | Mapping[Any, Any]


class Agents:
    """N agents that act together, greedily, in one episode at a time; `reset` begins one.

    Attributes:
        algorithm, task: what they were trained with and on.
        info: sizes and action space, see `envs.multiagentenv.EnvInfo`; observations count as float32.
        mac: the controller with the networks, on the CPU.
    """

    def __init__(self, mac: Any, info: EnvInfo, algorithm: str = "", task: str = "") -> None:
        self.mac, self.info, self.algorithm, self.task = mac, info, algorithm, task
        # Row 0 is the first step, or the one before; later steps stand in row 1, for no controller looks further back.
        self._batch = EpisodeBatch(scheme_of(info), {"agents": info.n_agents}, 1, 2)
        self.reset()

    def reset(self) -> None:
        """Begin an episode: forget what was seen and done."""
        self._hidden: Tensor = self.mac.init_hidden(1)
        self._first = True

    def act(self, obs: Given, avail: Given | None = None) -> np.ndarray | dict[Any, Any]:
        """Return the agents' actions, and remember what they have seen and done.

        Args:
            obs: (N, O), or an observation for each agent; a mapping, as of PettingZoo, has them in the task's order.
                What is shorter than O is filled with zeros, as `--env-config=gymma` does.
            avail: (N, W) bool, which actions may be taken; None allows all.

        Returns:
            (N,) int64 for discrete actions, (N, P) int64 for several choices, (N, P) float32 within the bounds for
            numbers. For a mapping of observations, a dictionary of these by the same names.

        Raises ValueError for other shapes, or an agent without any action.
        """
        row = 0 if self._first else 1
        self._batch.array("obs")[0, row] = self._observations(obs)
        self._batch.array("avail_actions")[0, row] = self._available(avail)
        actions, self._hidden = self.mac.select_actions(self._batch, row, self._hidden, 0.0, None)
        self._batch.array("actions")[0, 0] = actions[0].reshape(self.info.n_agents, -1)
        self._first = False
        taken = self._bounded(actions[0])
        if not isinstance(obs, Mapping):
            return taken
        return {name: self._one(action) for name, action in zip(obs, taken, strict=True)}

    def _observations(self, obs: Given) -> np.ndarray:
        N, O = self.info.n_agents, self.info.obs_size  # noqa: E741  the letter of the shapes
        each = [np.asarray(one, dtype=np.float32).reshape(-1) for one in _values(obs)]
        if len(each) != N or any(len(one) > O for one in each):
            raise ValueError(f"obs: {N} observations of at most {O} numbers, not {[len(one) for one in each]}")
        return np.stack([np.pad(one, (0, O - len(one))) for one in each])

    def _available(self, avail: Given | None) -> np.ndarray:
        shape = self.info.n_agents, self.info.n_actions
        if avail is None:
            return np.ones(shape, dtype=bool)
        given = np.asarray(_values(avail), dtype=bool)
        if given.shape != shape:
            raise ValueError(f"avail: {shape}, not {given.shape}")
        if self.info.action_space.kind != "continuous" and not given.any(axis=1).all():
            raise ValueError("avail: an agent has no action; one that is gone has the one that does nothing")
        return given

    def _bounded(self, actions: np.ndarray) -> np.ndarray:
        space = self.info.action_space
        return np.clip(actions, space.low, space.high) if space.kind == "continuous" else actions

    @staticmethod
    def _one(action: np.ndarray) -> Any:
        return int(action) if action.ndim == 0 else action


def _values(given: Given) -> Any:
    return list(given.values()) if isinstance(given, Mapping) else given


def scheme_of(info: EnvInfo) -> dict[str, dict[str, Any]]:
    """Return the scheme of episodes that agents of a task act in."""
    return episode_scheme(
        obs_size=info.obs_size, state_size=info.state_size, n_actions=info.n_actions, obs_dtype=th.float32,
        state_dtype=th.float32, action_size=info.action_space.size, continuous=info.action_space.kind == "continuous",
        n_rewards=info.n_rewards,
    )  # fmt: skip


def load_agents(path: str | Path, task: EnvInfo | None = None) -> Agents:
    """Return the agents of a checkpoint, or of the last one in a run's folder.

    An archive is data: nothing in it is run. One from before `info.json` had the task's sizes needs the task's own
    package, once. Agents whose networks allow it act in another `task` than theirs, with more agents or fewer.

    Raises `UserError` where the archive or the checkpoint cannot be read, or its agents cannot act in that task.
    """
    checkpoint = find_checkpoint(str(path))
    folder = run_folder_of(checkpoint)
    settings = archived_settings(folder, {}, CONFIG_DIR)
    told = read_info(folder).get("task")
    own = _look_at_task(settings) if told is None else info_of(told, folder / "info.json")
    info = own if task is None else task
    tensors, numbers = load_checkpoint(checkpoint)
    args = with_sizes(to_args(settings), info)
    if (why := bound_to(own, info, args)) is not None:
        raise UserError(f"{path}: its agents cannot play {info.n_agents} at a time here: {why}")
    with th.random.fork_rng(devices=[]):  # making networks draws numbers, of which a caller's program knows nothing
        try:
            mac = CONTROLLERS[GREEDY.get(args.mac, args.mac)](scheme_of(info), {"agents": info.n_agents}, args)
            _load(mac.agent, tensors)
        except (KeyError, ValueError, RuntimeError) as why:
            if _sizes(own) != _sizes(info):
                raise UserError(
                    f"{path}: its agents cannot play here: their networks are made for {_told(own)}, and here are "
                    f"{_told(info)}"
                ) from why
            raise UserError(f"the checkpoint {checkpoint} does not hold these agents: {why}") from why
    mac.agent.eval().requires_grad_(False)
    return Agents(mac, info, str(numbers.get("algorithm", args.name)), str(numbers.get("task", "")))


def bound_to(own: EnvInfo, other: EnvInfo, args: Any) -> str | None:
    """Return why agents trained among `own.n_agents` cannot be as many as in another task; None where they may."""
    if own.n_agents == other.n_agents:
        return None
    if args.obs_agent_id:
        return f"each reads its number among {own.n_agents} (obs_agent_id=True)"
    if not args.share_parameters:
        return f"{own.n_agents} agents have networks of their own (share_parameters=False)"
    return None


def _sizes(info: EnvInfo) -> tuple[Any, ...]:
    return info.n_agents, info.obs_size, info.n_actions, info.action_space.kind


def _told(info: EnvInfo) -> str:
    n_agents, obs_size, n_actions, kind = _sizes(info)
    return f"{n_agents} agents, observations of {obs_size} numbers, {n_actions} {kind} actions"


def _look_at_task(settings: Mapping[str, Any]) -> EnvInfo:
    check_archived(settings["env"], settings["env_args"])
    env = make_env(settings["env"], settings["env_args"])
    env.close()
    return env.info


def _load(agent: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take a controller's networks out of a checkpoint, where learners name them by the part that they are."""
    trained = {key.removeprefix("trained."): value for key, value in tensors.items() if key.startswith("trained.")}
    if isinstance(agent, nn.ModuleDict):  # a world and an actor
        for name, module in agent.items():
            module.load_state_dict(_below(name, trained))
    else:  # which value learners call agent, and policy learners actor
        agent.load_state_dict(_below("agent", trained) or _below("actor", trained))


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
