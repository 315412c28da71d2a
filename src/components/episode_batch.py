"""Episodes of one scheme, padded to one length, in one block of memory.

Letters: B episodes, T time steps, N agents, A actions; W the width of `avail_actions`, which is A for discrete ones.

Every quantity that the scheme declares lies at a fixed place in a record of bytes, one record per episode and step:
``storage (B, T, record)``. Fields are views into it in their own dtype. Hence replay stores a boolean as a byte and
an LBF observation as int8, taking a sample is one gather, and moving it to the device is one copy.

What row t holds: the observation, state and available actions *before* action t, then action t, its reward, and
whether the task ended with it. An episode of L actions fills rows 0 … L; row L holds the last observation alone.
`filled` marks rows 0 … L, so ``filled[:, 1:]`` marks the transitions, however the episode ended.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch as th
from torch import Tensor

Scheme = Mapping[str, Mapping[str, Any]]
Rows = int | slice | list[int] | np.ndarray


@dataclass(frozen=True)
class Field:
    """Where a quantity lies in a record: byte `offset`, `dtype`, and its `shape` without (B, T)."""

    offset: int
    dtype: th.dtype
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes that the quantity takes in a record."""
        return prod(self.shape) * self.dtype.itemsize


def episode_scheme(
    *,
    obs_size: int,
    state_size: int,
    n_actions: int,
    obs_dtype: th.dtype,
    state_dtype: th.dtype,
    action_size: int = 1,
    continuous: bool = False,
    n_rewards: int = 1,
    state_of_obs: bool = False,
    float_dtype: th.dtype | None = None,
) -> dict[str, dict[str, Any]]:
    """Return PyMARL's scheme: what is stored per step, `vshape` per agent where `group` says so.

    `n_actions` is W, and an agent's action `action_size` numbers: float32 if `continuous`, else the smallest integer
    that holds them. One-hot actions are not stored, see `EpisodeBatch.__getitem__`. With `n_rewards` of N, each agent
    has its own. With `state_of_obs`, the state is all observations in a row and takes no room of its own. `float_dtype`
    is what observations and states are kept in where they are floating-point numbers; None keeps their dtypes.
    """
    action_dtype = th.float32 if continuous else _smallest_integer(n_actions)
    obs_dtype, state_dtype = (
        float_dtype if float_dtype is not None and dtype.is_floating_point else dtype
        for dtype in (obs_dtype, state_dtype)
    )
    return {
        "state": {"vshape": (state_size,), "dtype": state_dtype} | ({"of": "obs"} if state_of_obs else {}),
        "obs": {"vshape": (obs_size,), "group": "agents", "dtype": obs_dtype},
        "avail_actions": {"vshape": (n_actions,), "group": "agents", "dtype": th.bool},
        "actions": {"vshape": (action_size,), "group": "agents", "dtype": action_dtype},
        "reward": {"vshape": (n_rewards,), "dtype": th.float32},
        "terminated": {"vshape": (1,), "dtype": th.bool},
    }


def _smallest_integer(n_actions: int) -> th.dtype:
    """Return the smallest dtype that holds the numbers below `n_actions`."""
    return next(dtype for dtype in (th.uint8, th.int16, th.int32) if n_actions - 1 <= th.iinfo(dtype).max)


def lay_out(scheme: Scheme, groups: Mapping[str, int]) -> tuple[dict[str, Field], int]:
    """Return the fields of a scheme (and `filled`) with their offsets, and the bytes of one record.

    Wide dtypes come first and the record is padded to the widest, so every field is aligned and can be viewed. A
    quantity that is another one's numbers in a row (`of`) lies in the same place.
    """
    shapes = {
        name: ((groups[spec["group"]],) if "group" in spec else ()) + tuple(spec["vshape"])
        for name, spec in scheme.items()
    }
    dtypes = {name: spec["dtype"] for name, spec in scheme.items()}
    shapes["filled"], dtypes["filled"] = (1,), th.bool
    fields, offset = {}, 0
    shared = {name: spec["of"] for name, spec in scheme.items() if "of" in spec}
    for name in sorted((n for n in shapes if n not in shared), key=lambda n: -dtypes[n].itemsize):
        fields[name] = Field(offset, dtypes[name], shapes[name])
        offset += fields[name].n_bytes
    for name, other in shared.items():
        fields[name] = Field(fields[other].offset, dtypes[name], shapes[name])
        assert (fields[name].dtype, fields[name].n_bytes) == (fields[other].dtype, fields[other].n_bytes), (name, other)
    widest = max(dtype.itemsize for dtype in dtypes.values())
    return fields, -(-offset // widest) * widest


def in_this_form(rows: Tensor, scheme: Scheme, groups: Mapping[str, int]) -> Tensor:
    """Return an episode's rows (n, record) uint8 as the scheme lays them out; raise ValueError for another task's.

    Archives from before a state that is all observations in a row was kept once have it twice.
    """
    fields, record = lay_out(scheme, groups)
    if rows.dtype == th.uint8 and rows.shape[1:] == (record,):
        return rows
    twice = {name: {key: said for key, said in spec.items() if key != "of"} for name, spec in scheme.items()}
    former, former_record = lay_out(twice, groups)
    if rows.dtype != th.uint8 or rows.shape[1:] != (former_record,):
        raise ValueError("there are episodes of another form")
    laid = th.zeros(len(rows), record, dtype=th.uint8)
    for name, field in fields.items():
        there, n = former[name].offset, field.n_bytes
        laid[:, field.offset : field.offset + n] = rows[:, there : there + n]
    return laid


def restored(
    episodes: Iterable[Tensor], inserted: int, scheme: Scheme, groups: Mapping[str, int], max_seq_length: int
) -> Iterator[Tensor]:
    """Yield the last of `inserted` episodes of a scheme, each as the rows that it fills, in the scheme's form.

    Raises ValueError where they cannot be. A row is a record (uint8); an episode has an action at least, hence two
    rows, and at most `max_seq_length`.
    """
    for count, episode in enumerate(episodes, start=1):
        if episode.dim() != 2 or not 2 <= len(episode) <= max_seq_length:
            raise ValueError("there are episodes of another form")
        if count > inserted:
            raise ValueError(f"there are {count} episodes of {inserted}")
        yield in_this_form(episode, scheme, groups)


class EpisodeBatch:
    """B episodes of up to T rows. `batch["obs"]` reads a quantity, `batch[:, :5]` takes a slice without copying."""

    def __init__(
        self,
        scheme: Scheme,
        groups: Mapping[str, int],
        batch_size: int,
        max_seq_length: int,
        storage: Tensor | None = None,
    ) -> None:
        self.scheme, self.groups = scheme, groups
        self.batch_size, self.max_seq_length = batch_size, max_seq_length
        self.fields, self.record = lay_out(scheme, groups)
        if storage is None:
            storage = th.zeros(batch_size, max_seq_length, self.record, dtype=th.uint8)
        assert storage.shape == (batch_size, max_seq_length, self.record), storage.shape
        self.storage = storage
        self._views: dict[str, Tensor] = {}
        self._arrays: dict[str, np.ndarray] = {}

    @property
    def device(self) -> th.device:
        """Where the episodes lie."""
        return self.storage.device

    def raw(self, name: str) -> Tensor:
        """Return a quantity (B, T, …) in its stored dtype: a view, nothing is copied."""
        if name not in self._views:
            field = self.fields[name]
            block = self.storage[:, :, field.offset : field.offset + field.n_bytes].view(field.dtype)
            self._views[name] = block.unflatten(-1, field.shape)
        return self._views[name]

    def array(self, name: str) -> np.ndarray:
        """Return the same view as a NumPy array (episodes on the CPU only)."""
        if name not in self._arrays:
            self._arrays[name] = self.raw(name).numpy()
        return self._arrays[name]

    def __getitem__(self, item: str | slice | tuple[slice, slice]) -> Any:
        """Return a quantity (B, T, …) ready for networks, or the episodes of a slice.

        Numbers come as float32, actions as int64 unless they are continuous, flags (`terminated`, `filled`,
        `avail_actions`) as bool. `actions_onehot` (B, T, N, A) is derived from discrete `actions`; rows without an
        action hold zeros.
        """
        if isinstance(item, str):
            return self._quantity(item)
        rows, steps = item if isinstance(item, tuple) else (item, slice(None))
        part = self.storage[rows, steps]
        return EpisodeBatch(self.scheme, self.groups, part.shape[0], part.shape[1], part)

    def _quantity(self, name: str) -> Tensor:
        if name == "actions_onehot":
            n_actions = self.fields["avail_actions"].shape[-1]
            onehot = th.nn.functional.one_hot(self["actions"].squeeze(-1), n_actions).float()
            return onehot * self._has_action()[:, :, None]
        value = self.raw(name)
        if name == "actions" and not value.is_floating_point():
            return value.long()
        return value if value.dtype == th.bool else value.float()

    def _has_action(self) -> Tensor:
        """Return (B, T, 1) float: 1 where an action was taken, that is, where the next row is filled."""
        filled = self.raw("filled")
        return th.cat([filled[:, 1:], th.zeros_like(filled[:, :1])], dim=1).float()

    def update(self, data: Mapping[str, Any], bs: Rows = slice(None), ts: Rows = slice(None)) -> None:
        """Write quantities (arrays that broadcast to ``(bs, ts, …)``) for some episodes and steps, and mark no row."""
        for name, value in data.items():
            self.array(name)[bs, ts] = value

    def max_t_filled(self) -> int:
        """Return the number of rows that the longest episode fills."""
        return int(self.raw("filled").sum(dim=1).max())

    def parts(self, n: int) -> list["EpisodeBatch"]:
        """Deal the episodes out, longest first, to n batches with memory of their own, at most one per episode."""
        longest_first = self.raw("filled").sum(dim=(1, 2)).argsort(descending=True, stable=True)
        taken = [self.storage[longest_first[i::n]] for i in range(min(n, self.batch_size))]
        return [EpisodeBatch(self.scheme, self.groups, len(part), self.max_seq_length, part) for part in taken]

    def clone(self) -> "EpisodeBatch":
        """Return a copy that shares no memory."""
        return EpisodeBatch(self.scheme, self.groups, self.batch_size, self.max_seq_length, self.storage.clone())

    def copy_unless(self, keep: Tensor, other: "EpisodeBatch") -> None:
        """Take over the episodes of another batch of the same scheme and size, unless the scalar `keep` is true."""
        th.where(keep, self.storage, other.storage, out=self.storage)

    def to(self, device: th.device | str) -> "EpisodeBatch":
        """Return the episodes on another device, in one copy."""
        storage = self.storage.contiguous().to(device, non_blocking=True)
        return EpisodeBatch(self.scheme, self.groups, self.batch_size, self.max_seq_length, storage)
