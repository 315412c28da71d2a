"""NaN and infinity are told where they enter: by which environment's what, before anybody acts on them."""

from collections.abc import Sequence

import numpy as np

from components.episode_batch import EpisodeBatch, Rows
from utils.errors import RunFailedError

NAMES = {"obs": "observation", "state": "state", "reward": "reward"}


def check_finite(batch: EpisodeBatch, names: Sequence[str], slots: Rows, t: int, seeds: Sequence[int]) -> None:
    """Raise `RunFailedError`, one line, unless these quantities are finite in row t of the episodes `slots`.

    `seeds` are those of all the batch's episodes. Integers always are, and cost nothing here.
    """
    for name in names:
        seen = batch.array(name)[slots, t]
        if seen.dtype.kind == "f" and not np.isfinite(seen).all():
            raise RunFailedError(_told(name, batch.array(name)[:, t], slots, t, seeds))


def _told(name: str, seen: np.ndarray, slots: Rows, t: int, seeds: Sequence[int]) -> str:
    """Say where the first number of `seen` (B, …) that is not finite stands."""
    asked = np.zeros(len(seen), dtype=bool)
    asked[slots] = True
    slot, *place = np.argwhere(~np.isfinite(seen) & asked.reshape(-1, *[1] * (seen.ndim - 1)))[0].tolist()
    agents = name == "obs" or (name == "reward" and seen.shape[1] > 1)
    whose = f" of agent {place[0]}" if agents else ""
    entry = "" if name == "reward" else f", entry {place[-1]}"
    when = f"after step {t}" if name != "reward" else f"for step {t + 1}"
    if seen.dtype == np.float16:
        remedy = "it may be beyond what buffer_dtype=float16 holds, which is 65504: take buffer_dtype=as_played"
    else:
        remedy = "nothing can be learnt from that; mend the environment"
    return (
        f"the environment's {NAMES[name]}{whose}{entry} is {seen[slot][tuple(place)]} {when} of the episode of seed "
        f"{seeds[slot]} (environment {slot}): {remedy}"
    )
