"""The states of all generators that belong to the process: Python's, NumPy's, Torch's on the CPU and on every GPU."""

import random
from typing import Any

import numpy as np
import torch as th
from torch import Tensor


def random_tensors() -> dict[str, Tensor]:
    """Return the large part of the states, by name."""
    numpy_state, python_state = np.random.get_state(legacy=False)["state"]["key"], random.getstate()
    tensors = {
        "rng.numpy": th.from_numpy(numpy_state.astype(np.int64)),
        "rng.python": th.tensor(python_state[1], dtype=th.int64),
        "rng.torch": th.get_rng_state(),
    }
    gpus = th.cuda.get_rng_state_all() if th.cuda.is_initialized() else []
    return tensors | {f"rng.cuda.{number}": state for number, state in enumerate(gpus)}


def random_numbers() -> dict[str, Any]:
    """Return what of the states is no tensor."""
    _, _, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, _, gauss = random.getstate()
    return {"numpy": [position, has_gauss, cached], "python": [version, gauss]}


def restore_random(tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Take up what `random_tensors` and `random_numbers` gave. A GPU that is not there now is left out."""
    position, has_gauss, cached = numbers["numpy"]
    np.random.set_state(("MT19937", tensors["rng.numpy"].numpy().astype(np.uint32), position, has_gauss, cached))
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["rng.python"].tolist()), gauss))
    th.set_rng_state(tensors["rng.torch"])
    for number in range(th.cuda.device_count()):
        if f"rng.cuda.{number}" in tensors:
            th.cuda.set_rng_state(tensors[f"rng.cuda.{number}"], number)
