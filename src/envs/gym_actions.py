"""Action spaces of Gymnasium, and a team of them as one of ours.

An agent's space is Discrete; or MultiDiscrete, MultiBinary, or a Tuple or Dict of these and Discrete: several choices;
or Box, or a Tuple or Dict of Boxes: several numbers. Letters as in `envs.action_spaces`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from envs.action_spaces import ActionSpace, Continuous, Discrete, MultiDiscrete
from envs.task_code import MisfitError, one_line

CHOICES = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class Team(NamedTuple):
    """The team's common action space, and per agent: what exists of it, and what is left of it to one that is gone.

    Both are (N, W) bool, see `MultiAgentEnv.get_avail_actions`. `spaces` are Gymnasium's, one per agent, and `sizes`
    how many choices each of its parts has (none for numbers); `first` is where the numbers of Discrete spaces begin.
    """

    space: ActionSpace
    existing: np.ndarray
    gone: np.ndarray
    spaces: Sequence[spaces.Space]
    sizes: Sequence[Sequence[int]] = ()
    first: Sequence[int] = ()

    def masked(self, agent: int, mask: Any) -> np.ndarray:
        """Return what an agent's own mask leaves it, (W,) bool; `MisfitError` for a mask of another form.

        A mask has a flag for each choice, part after part, or is a sequence of such masks, one for each part.
        """
        if self.space.kind == "continuous":
            raise MisfitError("masks are for choices, and this agent sets numbers")
        own = self.sizes[agent]
        parts = mask if isinstance(mask, list | tuple) and len(mask) and np.ndim(mask[0]) == 1 else [mask]
        flags = np.concatenate([np.asarray(part) for part in parts])
        if flags.shape != (sum(own),) or flags.dtype.kind not in "biuf":
            raise MisfitError(f"a mask has a flag for each of {sum(own)} choices; this one is {one_line(mask)}")
        row, column, taken = self.gone[agent].copy(), 0, 0
        widths = self.space.sizes if self.space.kind == "multidiscrete" else (len(row),)
        for width, size in zip(widths, own, strict=False):
            part = flags[taken : taken + size] != 0
            if not part.any():
                raise MisfitError("its mask allows no action")
            row[column : column + width] = False
            row[column : column + size] = part
            column, taken = column + width, taken + size
        return row

    def native(self, actions: np.ndarray) -> list[Any]:
        """Return a joint action, as `MultiAgentEnv.step` takes it, as what each agent's own space holds."""
        if self.space.kind == "discrete":
            return [first + action for first, action in zip(self.first, actions.tolist(), strict=True)]
        return [_native(space, iter(action)) for space, action in zip(self.spaces, actions, strict=True)]


def team_of(each: Sequence[spaces.Space]) -> Team:
    """Return the space in which a team acts whose agents have these spaces; raise `MisfitError` if there is none."""
    leaves = [list(_leaves(space)) for space in each]
    kinds = [_kind(agent, space, parts) for agent, (space, parts) in enumerate(zip(each, leaves, strict=True))]
    if "continuous" in kinds and len(set(kinds)) > 1:
        agent = next(agent for agent, kind in enumerate(kinds) if kind != "continuous")
        raise MisfitError(
            f"agent {kinds.index('continuous')} sets numbers ({one_line(each[kinds.index('continuous')])}) and agent "
            f"{agent} makes choices ({one_line(each[agent])}): all must do the same"
        )
    if kinds[0] == "continuous":
        return _continuous(each, leaves)
    return _choosing([[size for leaf in parts for size in _sizes(leaf)] for parts in leaves], each, set(kinds))


def _leaves(space: spaces.Space) -> Iterator[spaces.Space]:
    """Return the simple spaces in it, in order."""
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for part in space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces:
            yield from _leaves(part)
    else:
        yield space


def _kind(agent: int, space: spaces.Space, leaves: Sequence[spaces.Space]) -> str:
    if isinstance(space, spaces.Discrete):
        return "discrete"
    if leaves and all(isinstance(leaf, CHOICES) for leaf in leaves):
        return "multidiscrete"
    if leaves and all(isinstance(leaf, spaces.Box) and np.issubdtype(leaf.dtype, np.floating) for leaf in leaves):
        return "continuous"
    raise MisfitError(
        f"agent {agent} acts in {one_line(space)}: it must be Discrete, MultiDiscrete, MultiBinary, a Box of floats, "
        "or a Tuple or Dict of choices alone or of Boxes alone"
    )


def _sizes(leaf: spaces.Space) -> list[int]:
    """Return how many choices each part of a simple space has."""
    if isinstance(leaf, spaces.Discrete):
        return [int(leaf.n)]
    return [2] * int(np.prod(leaf.shape)) if isinstance(leaf, spaces.MultiBinary) else leaf.nvec.reshape(-1).tolist()


def _choosing(sizes: Sequence[Sequence[int]], each: Sequence[spaces.Space], kinds: set[str]) -> Team:
    """Return the team of agents whose parts have these many choices; the parts that an agent lacks have one."""
    most = max(map(len, sizes))
    own = np.array([[*of_one, *[1] * (most - len(of_one))] for of_one in sizes])  # (N, P)
    widest = own.max(axis=0)
    columns = [np.arange(widest[part]) < own[:, part, None] for part in range(most)]
    first = np.concatenate([np.arange(width) == 0 for width in widest])
    space = Discrete() if kinds == {"discrete"} else MultiDiscrete(tuple(widest.tolist()))
    starts = [int(one.start) for one in each] if isinstance(space, Discrete) else ()
    return Team(space, np.concatenate(columns, axis=1), np.tile(first, (len(own), 1)), each, sizes, starts)


def _continuous(each: Sequence[spaces.Space], leaves: Sequence[Sequence[spaces.Box]]) -> Team:
    bounds = [[np.concatenate([end.reshape(-1) for end in ends]) for ends in zip(*map(_ends, parts), strict=True)]
              for parts in leaves]  # fmt: skip
    most = max(len(low) for low, _ in bounds)
    low, high = (np.full((len(each), most), missing, dtype=np.float32) for missing in (-1, 1))
    existing = np.zeros((len(each), most), dtype=bool)
    for agent, (its_low, its_high) in enumerate(bounds):
        low[agent, : len(its_low)], high[agent, : len(its_high)] = its_low, its_high
        existing[agent, : len(its_low)] = True
    return Team(Continuous(low, high), existing, np.zeros_like(existing), each)


def _ends(box: spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    return box.low, box.high


def _native(space: spaces.Space, numbers: Iterator[Any]) -> Any:
    """Take as many numbers as the space has and return them as one of its members; numbers beyond a Box are clipped."""
    if isinstance(space, spaces.Dict):
        return {name: _native(part, numbers) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_native(part, numbers) for part in space.spaces)
    if isinstance(space, spaces.Discrete):
        return int(next(numbers)) + int(space.start)
    taken = np.array([next(numbers) for _ in range(int(np.prod(space.shape)))]).reshape(space.shape)
    if isinstance(space, spaces.Box):
        return np.clip(taken, space.low, space.high).astype(space.dtype)
    start = getattr(space, "start", 0)  # of a MultiDiscrete, in newer versions of the package
    return (taken + start).astype(space.dtype)
