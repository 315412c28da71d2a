"""What one agent of Gymnasium or PettingZoo is shown: a vector of numbers, and which of its actions it may take.

A mask of actions comes, in this order, as `action_mask` of an observation that is a Dict, as `action_mask` of the
agent's info, or from the environment's own method `action_masks()` or `get_avail_actions()`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.multiagentenv import ObsImage
from envs.task_code import MisfitError, one_line

MASK, REST = "action_mask", "observation"
SMALLEST_SIDE = 3  # of a picture
METHODS = ("action_masks", "get_avail_actions")


class Reader:
    """Reads what one agent is shown; `size` numbers, with `images` among them.

    A mask in the observation is no part of them unless `mask_in_obs`; where `observation` is all that is left, that is
    the observation.
    """

    def __init__(self, agent: str, space: spaces.Space, mask_in_obs: bool) -> None:
        self.agent, self.space = agent, space
        self._masked = isinstance(space, spaces.Dict) and MASK in space.spaces
        self._rest: str | None = None
        if self._masked and not mask_in_obs:
            left = {name: part for name, part in space.spaces.items() if name != MASK}
            self._rest = REST if list(left) == [REST] else ""
            self.space = left[REST] if self._rest else spaces.Dict(left)
        if not self.space.is_np_flattenable:
            raise MisfitError(f"agent {agent} sees {one_line(self.space)}, no vector of one length")
        self.size = spaces.flatdim(self.space)
        self.images = tuple(images_in(self.space))
        box = self.space if isinstance(self.space, spaces.Box) else None
        self._shape, self._dtype = (box.shape, box.dtype) if box is not None else (None, None)

    def vector(self, seen: Any) -> np.ndarray:
        """Return what is shown as numbers (`size`,); raise `MisfitError` where it does not fit the space."""
        try:
            if self._rest is not None:
                seen = seen[self._rest] if self._rest else {name: seen[name] for name in self.space.spaces}
            if self._shape is not None:
                vector = np.asarray(seen, dtype=self._dtype)
                if vector.shape != self._shape:
                    raise ValueError(f"its shape is {vector.shape}")
                return vector if vector.ndim == 1 else vector.reshape(-1)
            return spaces.flatten(self.space, seen)
        except Exception as why:  # the packages fail in many ways
            raise MisfitError(
                f"the observation of agent {self.agent} does not fit its space {one_line(self.space)}: {one_line(why)}"
            ) from why

    def mask(self, seen: Any) -> Any:
        """Return the mask in the observation, None where it has none."""
        return seen[MASK] if self._masked else None


def images_in(space: spaces.Space, start: int = 0) -> Iterator[ObsImage]:
    """Yield the pictures among the numbers of a flattened space, of which the first stands at `start`.

    A picture is a Box with three axes (or with two, of bytes: grey) whose sides are at least 3. Channels come last,
    but where there are four or fewer in front and more behind, or where only the last two axes are of one length.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for part in space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces:
            yield from images_in(part, start)
            start += spaces.flatdim(part)
    if not isinstance(space, spaces.Box):
        return
    shape = (*space.shape, 1) if len(space.shape) == 2 and space.dtype == np.uint8 else space.shape
    if len(shape) != 3:
        return
    first, middle, last = shape
    channels_first = first <= 4 < last or (middle == last != first)
    image = ObsImage(start, middle, last, first, True) if channels_first else ObsImage(start, *shape)
    if min(image.height, image.width) >= SMALLEST_SIDE:
        yield image


def bare(env: Any) -> Any:
    """Return an environment without its wrappers."""
    return getattr(env, "unwrapped", env)


def masks_by_method(env: Any, names: Sequence[str]) -> list[Any] | None:
    """Return each agent's mask by the environment's own method; None where it has none."""
    for name in METHODS:
        method = getattr(env, name, None) or getattr(bare(env), name, None)
        if callable(method):
            told = method()
            if isinstance(told, Mapping):
                return [told.get(agent) for agent in names]
            return [told] if len(names) == 1 and np.ndim(told[0]) == 0 else list(told)
    return None


def infos_by_agent(told: Any, names: Sequence[str], alone: bool) -> list[Mapping[str, Any]]:
    """Return each agent's info, from one for all of them, or one for each by place or by name."""
    if isinstance(told, list | tuple) and len(told) == len(names):
        return [own if isinstance(own, Mapping) else {} for own in told]
    if not isinstance(told, Mapping):
        return [{} for _ in names]
    if not alone and all(isinstance(told.get(agent), Mapping) for agent in names):
        return [told[agent] for agent in names]
    masks = told.get(MASK)
    if alone or masks is None:
        return [told for _ in names]
    return [{**told, MASK: masks[agent]} for agent in range(len(names))]


def numbers_in(infos: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the finite numbers of interest in agents' infos, each the mean over the agents that give it."""
    found: dict[str, list[float]] = {}
    for info in infos:
        for name, value in info.items():
            if isinstance(value, bool | int | float | np.bool_ | np.number) and np.isfinite(value):
                found.setdefault(str(name), []).append(float(value))
    return {name: sum(values) / len(values) for name, values in found.items() if name != "TimeLimit.truncated"}
