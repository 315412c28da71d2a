"""Games in JAX, many at once, on the CPU. Letter: W the width of a group.

XLA rounds differently in programs of different sizes. So one program, compiled once, serves batches of all sizes: it
plays groups of W games in a loop, as many groups as there are, and the last one is filled up with copies whose
results nobody reads. Then a game is the same, bit for bit, alone or among hundreds. The loop is also quicker than a
call per group, or than all games side by side, whose numbers the processor's caches do not hold
(docs/measurements/performance.md). Games that have ended are left out.
"""

import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

import numpy as np

# JAX reads these when it is imported: the GPU and the threads are the learner's. What the user has set stands.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp

jax.config.update("jax_cpu_enable_async_dispatch", False)  # a call is waited for anyway: a thread only costs time


def _start_on_one_thread() -> None:
    """Start JAX on the CPU; XLA reads from NPROC how many threads it takes, and ours would only wake each other."""
    mine = "NPROC" not in os.environ
    os.environ.setdefault("NPROC", "1")
    jax.devices("cpu")
    if mine:
        del os.environ["NPROC"]


_start_on_one_thread()

WIDTH = 8  # W; wider groups cost less per battle, and more of the last one is padding
MOST = 64  # battles of one call, a multiple of W: what a call takes and gives has room for so many


def package(name: str) -> ModuleType:
    """Import a part of jaxmarl quietly: it prints two lines, and something in it undoes replacements of stdout."""
    shown, real = sys.stdout, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()
    try:
        return import_module(name)
    finally:
        sys.stdout, sys.__stdout__ = shown, real


def in_groups(one: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return a function of one battle as one of `groups` times W battles, whose arrays have room for `MOST`."""
    group = jax.vmap(one)

    def play(groups: jax.Array, *columns: jax.Array) -> jax.Array:
        def add(number: jax.Array, told: jax.Array) -> jax.Array:
            these = (jax.lax.dynamic_slice_in_dim(column, number * WIDTH, WIDTH) for column in columns)
            return jax.lax.dynamic_update_slice_in_dim(told, group(*these), number * WIDTH, axis=0)

        each = jax.eval_shape(one, *(column[0] for column in columns))
        return jax.lax.fori_loop(0, groups, add, jnp.zeros((MOST, *each.shape), each.dtype))

    return play


def call(function: Callable[..., jax.Array], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Call a function of the game with arrays (n, …), n ≤ `MOST`; return what it tells of these: (n, …) float32."""
    n = len(columns[0])
    padded = [np.concatenate([column, np.repeat(column[:1], MOST - n, axis=0)]) for column in columns]
    return np.asarray(function(np.int32(-(-n // WIDTH)), *padded))[:n]
