"""How long an update takes, part by part, and how that compares with what the machine can do.

    python benchmarks/train_step.py --shape lbf --device cpu --threads 2
"""

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch as th
from answers import command
from common import SHAPES, make_batch, make_learner, product_rate, seconds, synchronise
from dream_step import report_dreams
from operations import OperationCounter
from step_by_step import make_step_by_step
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from learners.side_by_side import SideBySide, can_divide
from modules import linear
from utils.memory import keep_freed_memory

PARTS = {  # the learner's verbs, and the part that their time is booked on (less what is booked on parts within)
    ("agent", "encode"): "unroll",
    ("target_agent", "encode"): "unroll",
    ("agent", "score"): "SALE and Q",
    ("target_agent", "q_from_hidden"): "SALE and Q",
    ("", "world_model_losses"): "world model",
    ("", "imagine"): "imagination",
    ("mixer", "forward"): "mixer",
    ("target_mixer", "forward"): "mixer",
    ("", "losses"): "rest of the losses",
    ("optimiser", "step"): "optimiser",
    ("", "train"): "backward",  # what is left of an update is the backward pass
}


class PartClock:
    """Books the time of calls on parts; a call within a call is booked once, on the inner one."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Book the calls of a method on a part from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            synchronise(self.device)
            self._inner.append(0.0)
            start = time.perf_counter()
            result = function(*args, **kwargs)
            synchronise(self.device)
            took = time.perf_counter() - start
            self.seconds[part] += took - self._inner.pop()
            self._inner[-1] += took
            return result

        setattr(owner, name, watched)


def time_parts(learner: Any, batch: Any, device: str, repeats: int) -> dict[str, float]:
    """Return the mean seconds of each part of an update."""
    clock = PartClock(device)
    for (owner, name), part in PARTS.items():
        target = getattr(learner, owner, None) if owner else learner
        if target is not None and hasattr(target, name):
            clock.watch(target, name, part)
    for _ in range(repeats):
        learner.train(batch, 1, 1)
    return {part: total / repeats for part, total in clock.seconds.items()}


def count_operations(alg: str, args: argparse.Namespace) -> float:
    """Return the floating-point operations of an update's matrix products, forward and backward.

    Counted on the CPU, on a learner of its own and with PyTorch's own products: there are no formulas for oneDNN's and
    cuDNN's.
    """
    fast, linear.ONE_DNN = linear.ONE_DNN, None
    shape = SHAPES[args.shape]
    learner = make_learner(alg, shape, "cpu", **args.settings)
    batch = make_batch(shape, args.batch_size)
    with OperationCounter() as counter:
        learner.take_update(batch)  # `train` would look figures up for the log besides
    linear.ONE_DNN = fast
    return counter.total


def kernel_seconds(learner: Any, batch: Any, updates: int) -> float:
    """Return the time that the GPU spends in kernels per update."""
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        for _ in range(updates):
            learner.train(batch, 1, 1)
        th.cuda.synchronize()
    kernels = (e for e in profiler.events() if e.device_type == DeviceType.CUDA and not e.is_user_annotation)
    return sum(event.time_range.elapsed_us() for event in kernels) / updates / 1e6


def report_graph(alg: str, args: argparse.Namespace, eager: float) -> None:
    """Measure the update as a CUDA graph, and step by step, beside the eager form's time."""
    shape = SHAPES[args.shape]
    batch = make_batch(shape, args.batch_size).to("cuda")
    graphed = make_learner(alg, shape, "cuda", cuda_graph=True, **args.settings)
    took = seconds(lambda: graphed.train(batch, 1, 1), "cuda", args.repeats, warm_up=8)
    kernels = kernel_seconds(graphed, batch, updates=3)
    print(f"  CUDA graph: {1e3 * took:.1f} ms, {took / kernels:.2f} times its kernels' {1e3 * kernels:.1f} ms")
    slow = make_learner(alg, shape, "cuda", **args.settings)
    make_step_by_step(slow, args.batch_size)
    slow_took = seconds(lambda: slow.train(batch, 1, 1), "cuda", repeats=3, warm_up=1)
    print(f"  eager, step by step: {1e3 * slow_took:.1f} ms; eager / graph {eager / took:.1f}, step by step / graph "
          f"{slow_took / took:.1f}")  # fmt: skip


def report_side_by_side(alg: str, args: argparse.Namespace) -> None:
    """Measure the update as a run on several CPU cores takes it: shared by processes."""
    shape = SHAPES[args.shape]
    learner = make_learner(alg, shape, "cpu", **args.settings)
    if not can_divide(learner, args.threads):
        return
    batch = make_batch(shape, args.batch_size)
    learner.backward = side_by_side = SideBySide(learner, args.threads)
    took = seconds(lambda: learner.train(batch, 1, 1), "cpu", args.repeats, warm_up=5)
    side_by_side.close()
    th.set_num_threads(args.threads)
    print(f"  shared by {side_by_side.n_parts} processes: {1e3 * took:.1f} ms")


def report(alg: str, args: argparse.Namespace, rate: float) -> None:
    """Measure one algorithm and print a table."""
    shape = SHAPES[args.shape]
    learner = make_learner(alg, shape, args.device, **args.settings)
    if learner.EXPERIENCE == "segments":
        report_dreams(alg, learner, args, rate)
        return
    batch = make_batch(shape, args.batch_size).to(args.device)
    took = seconds(lambda: learner.train(batch, 1, 1), args.device, args.repeats, warm_up=5)
    if args.device == "cuda":
        peak = th.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    operations = count_operations(alg, args)
    print(f"\n{alg}: {1e3 * took:.1f} ms per update (median of {args.repeats}), peak memory {peak:.0f} MiB")
    print(f"  {operations / 1e9:.1f} GFLOP in matrix products, {operations / took / rate:.0%} of this machine's rate")
    for part, part_took in sorted(time_parts(learner, batch, args.device, args.repeats).items(), key=lambda i: -i[1]):
        print(f"  {part:20} {1e3 * part_took:8.1f} ms")
    if args.device == "cuda":
        report_graph(alg, args, took)
    elif args.threads > 1:
        report_side_by_side(alg, args)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="lbf")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128, help="episodes, each as long as the task allows")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--algs", nargs="+", default=["qmix", "mmsa"],
                        help="configs: also dreamer, mamba, mabl, dmawm")  # fmt: skip
    parser.add_argument("--settings", nargs="+", default=[], metavar="NAME=VALUE", help="of the learners")
    args = parser.parse_args()
    args.settings = dict(setting.split("=", 1) for setting in args.settings)
    keep_freed_memory()
    th.set_num_threads(args.threads)
    rate = product_rate(args.device)
    print(f"{args.shape}: {SHAPES[args.shape]}, B={args.batch_size}, {args.device}, {args.threads} threads")
    print(f"matrix product, float32: {rate / 1e9:.0f} GFLOP/s")
    for alg in args.algs:
        report(alg, args, rate)


if __name__ == "__main__":
    command(main)
