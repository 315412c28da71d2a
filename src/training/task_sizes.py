"""What agents have to know of their task, as `info.json` keeps it: so they act where the task is not installed."""

import json
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from envs.action_spaces import ActionSpace, Continuous, Discrete, MultiDiscrete
from envs.entities import Entities
from envs.multiagentenv import EnvInfo, ObsImage
from utils.errors import UserError

Count = Annotated[int, Meta(ge=1, le=2**31)]
FLOAT = np.dtype(np.float32)


class TaskSizes(msgspec.Struct, frozen=True):
    """The part of `EnvInfo` that networks and controllers are made from; infinite bounds are kept as null."""

    n_agents: Count
    n_actions: Count
    obs_size: Count
    state_size: Count
    episode_limit: Count
    n_rewards: Count
    noop: int | None
    action_space: Literal["discrete", "continuous", "multidiscrete"]
    sizes: tuple[Count, ...] = ()
    low: list[list[float | None]] = []
    high: list[list[float | None]] = []
    obs_images: list[tuple[int, int, int, int, bool]] = []
    entities: Entities | None = None


def sizes_of(info: EnvInfo) -> dict[str, Any]:
    """Return what is kept of a task, as JSON has it."""
    space = info.action_space
    bounds = {"low": _kept(space.low), "high": _kept(space.high)} if space.kind == "continuous" else {}
    return {
        "n_agents": info.n_agents, "n_actions": info.n_actions, "obs_size": info.obs_size,
        "state_size": info.state_size, "episode_limit": info.episode_limit, "n_rewards": info.n_rewards,
        "noop": info.noop, "action_space": space.kind, "sizes": list(getattr(space, "sizes", ())), **bounds,
        "obs_images": [list(image) for image in info.obs_images],
        "entities": json.loads(json.dumps(info.entities)),  # lists: sacred would write tuples as objects of Python's
    }  # fmt: skip


def info_of(told: Any, place: object) -> EnvInfo:
    """Return what was kept of a task; observations count as float32. Raises `UserError` where it is damaged."""
    try:
        sizes = msgspec.convert(told, TaskSizes)
        space = _space(sizes)
    except (msgspec.ValidationError, ValueError) as why:
        raise UserError(f"{place}: what it says of the task is damaged ({why})") from why
    return EnvInfo(
        n_agents=sizes.n_agents, n_actions=sizes.n_actions, obs_size=sizes.obs_size, state_size=sizes.state_size,
        episode_limit=sizes.episode_limit, obs_dtype=FLOAT, state_dtype=FLOAT, has_winner=False, noop=sizes.noop,
        action_space=space, n_rewards=sizes.n_rewards, obs_images=tuple(ObsImage(*each) for each in sizes.obs_images),
        entities=sizes.entities,
    )  # fmt: skip


def _space(sizes: TaskSizes) -> ActionSpace:
    match sizes.action_space:
        case "discrete":
            return Discrete()
        case "multidiscrete":
            return MultiDiscrete(sizes.sizes)
    return Continuous(_bounds(sizes.low, -np.inf), _bounds(sizes.high, np.inf))


def _kept(bounds: np.ndarray) -> list[list[float | None]]:
    return [[float(bound) if np.isfinite(bound) else None for bound in row] for row in bounds]


def _bounds(rows: list[list[float | None]], endless: float) -> np.ndarray:
    return np.array([[endless if bound is None else bound for bound in row] for row in rows], dtype=np.float32)
