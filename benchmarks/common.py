"""What the benchmarks share: learners on synthetic batches of a task's shape, and the machine's own speed.

Letters: B episodes, T transitions, N agents, A actions.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch as th

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from components.episode_batch import EpisodeBatch, episode_scheme
from controllers import REGISTRY as CONTROLLERS
from envs.action_spaces import Discrete
from envs.entities import Entities, laid_out
from learners import REGISTRY as LEARNERS
from main import CONFIG_DIR
from settings import extended, resolve, to_args
from training.assembly import Run
from training.seeding import Stream, episode_streams
from utils.logging import Logger


class Shape(NamedTuple):
    """The sizes of a task: T steps at most, N agents, A actions, and how wide and of what type a view is."""

    T: int
    N: int
    A: int
    obs_size: int
    state_size: int
    dtype: th.dtype


SHAPES = {
    "lbf": Shape(T=50, N=3, A=6, obs_size=18, state_size=54, dtype=th.int8),  # Foraging-2s-10x10-3p-3f
    "3s5z": Shape(T=120, N=8, A=14, obs_size=128, state_size=216, dtype=th.float32),
    "27m_vs_30m": Shape(T=180, N=27, A=36, obs_size=285, state_size=1170, dtype=th.float32),
}


def scheme_of(shape: Shape) -> dict[str, dict[str, Any]]:
    """Return what is stored per step of a task of this shape."""
    return episode_scheme(
        obs_size=shape.obs_size,
        state_size=shape.state_size,
        n_actions=shape.A,
        obs_dtype=shape.dtype,
        state_dtype=shape.dtype,
    )


def entities_of(shape: Shape) -> Entities:
    """Return how an observation may be made: things of three numbers each, and the rest one's own."""
    things = max(shape.obs_size // 3 - 1, 1)
    return laid_out([("thing", things, 3), (None, 1, shape.obs_size - 3 * things)])


def make_learner(alg: str, shape: Shape, device: str, **settings: object) -> Any:
    """Return a learner of a shipped config for a task of this shape."""
    args = to_args(resolve(alg, "lbf", {key: str(value) for key, value in settings.items()}, CONFIG_DIR))
    args = extended(
        args, n_agents=shape.N, n_actions=shape.A, obs_shape=shape.obs_size, state_shape=shape.state_size,
        action_space=Discrete(), n_rewards=1, noop=None, obs_images=(), entities=entities_of(shape),
    )  # fmt: skip
    th.manual_seed(0)
    scheme, groups = scheme_of(shape), {"agents": shape.N}
    mac = CONTROLLERS[args.mac](scheme, groups, args)
    mac.agent.to(device)
    return LEARNERS[args.learner](mac, scheme, Logger(), args)


def update_on(learner: Any, batch: EpisodeBatch) -> Callable[[], object]:
    """Return a learner's update on a batch of episodes: values take one, policies all their passes."""
    if learner.EXPERIENCE == "fresh":
        return partial(learner.update, batch)

    def update() -> None:
        learner.take_update(batch)
        learner.updates += 1  # by which a learner may take this or that

    return update


def make_batch(shape: Shape, B: int, lengths: np.ndarray | None = None) -> EpisodeBatch:
    """Return B random episodes, T steps long unless `lengths` says otherwise."""
    rng = np.random.default_rng(0)
    batch = EpisodeBatch(scheme_of(shape), {"agents": shape.N}, B, shape.T + 1)
    lengths = np.full(B, shape.T) if lengths is None else lengths
    for b, length in enumerate(lengths):
        rows = slice(0, length + 1)
        for name, high in (("obs", 10), ("state", 10), ("actions", shape.A)):
            field = batch.array(name)[b, rows]
            field[:] = rng.integers(0, high, field.shape)
        batch.array("avail_actions")[b, rows] = rng.random((length + 1, shape.N, shape.A)) < 0.5
        batch.array("avail_actions")[b, rows, :, 0] = True
        batch.array("filled")[b, rows] = True
        batch.array("reward")[b, :length] = rng.random((length, 1))
    return batch


def synchronise(device: str) -> None:
    """Wait until the device has done all its work."""
    if device == "cuda":
        th.cuda.synchronize()


def seconds(
    function: Callable[[], object],
    device: str,
    repeats: int,
    warm_up: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the median time of a call."""
    times = []
    for call in range(warm_up + repeats):
        synchronise(device)
        start = clock()
        function()
        synchronise(device)
        if call >= warm_up:
            times.append(clock() - start)
    return median(times)


def runner_round(run: Run, number: int, epsilon: float) -> tuple[int, float, float]:
    """Play one episode in every slot; return the steps, the seconds, and the seconds without choosing actions."""
    n = run.args.batch_size_run
    streams = [episode_streams(run.args.seed, Stream.TRAIN_EPISODE, number * n + slot) for slot in range(n)]
    run.clock.restart()
    _, results = run.runner.run(run.mac, streams, epsilon)
    took = sum(run.clock.seconds.values())
    return sum(result.length for result in results), took, took - run.clock.seconds["act"]


def beside_bare(run: Run, bare: Callable[[int], float], rounds: int, epsilon: float) -> str:
    """Say how fast a run's runner plays beside the simulator alone, in turn, round after round; closes the run.

    `bare` plays at least so many steps and returns the seconds of one. Medians over rounds, the first one left out.
    """
    runner_round(run, 0, epsilon)
    whole, without, alone = [], [], []
    for number in range(1, rounds + 1):
        steps, took, took_without = runner_round(run, number, epsilon)
        whole.append(took / steps)
        without.append(took_without / steps)
        alone.append(bare(steps))
    run.close()
    ratio = median(b / w for b, w in zip(alone, without, strict=True))
    return (
        f"runner {1 / median(without):.0f} steps/s without networks ({1 / median(whole):.0f} with them), by itself "
        f"{1 / median(alone):.0f} steps/s, ratio {ratio:.2f}"
    )


def product_rate(device: str) -> float:
    """Return the machine's rate on one large float32 matrix product, in floating-point operations per second."""
    size = 8192 if device == "cuda" else 2048
    x = th.randn(size, size, device=device)
    return 2 * size**3 / seconds(lambda: x @ x, device, repeats=5, warm_up=2)
