"""Everything that is to be known of a GPU, in nine minutes: for the day when there is one.

    python benchmarks/gpu_day.py --out gpu_day

Writes `gpu_day.json` after every section and `gpu_day.md` at the end into the folder: the CUDA tests; what the machine
can do; a roofline of every learner's update, recorded and in bfloat16 too; whole runs on LBF and SMAX with the split of
their time, with and without `overlap`, `acting_graph` and bfloat16; memory; and how updates grow to 64 agents. What
there is no time left for is left out, and named. On a machine without a GPU it measures the CPU; `--small` makes all of
it tiny, so that a test can run it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from answers import command
from common import SHAPES, Shape, make_batch, make_learner, product_rate, scheme_of, seconds, synchronise
from gpu_day_page import page
from operations import OperationCounter, TrafficCounter
from recorded import ROOT, record
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from components import EXPERIENCES
from modules import linear
from utils.memory import keep_freed_memory

ALGS = ("qmix", "mmsa", "mappo", "dmawm")
VALUES = ("qmix", "mmsa")  # those that can be recorded, and take forward passes in bfloat16
AGENTS = (3, 8, 16, 32, 64)
SMALL = {
    "world_hidden": 16, "latent_groups": 4, "latent_classes": 4, "world_width": 16, "decoder_width": 16,
    "attention_heads": 2, "attention_hidden": 16, "actor_width": 16, "critic_width": 16, "critic_heads": 2, "bins": 21,
    "segments": 2, "segment_length": 4, "starts": 4, "horizon": 2, "learn_after": 40, "behaviour_after": 1,
}  # fmt: skip
TINY = Shape(T=6, N=2, A=4, obs_size=6, state_size=12, dtype=th.float32)


class Day:
    """What is measured, how large, and until when."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device, self.small = args, args.device, args.small
        self.deadline = time.monotonic() + 60 * args.minutes
        self.left_out: list[str] = []
        self.repeats = 1 if self.small else (10 if self.device == "cuda" else 3)
        self.batch_size = 4 if self.small else 128

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()

    def has_time_for(self, what: str, needed: float) -> bool:
        """Say whether so many seconds are left; where they are not, take note of what is left out."""
        if self.left >= needed:
            return True
        self.left_out.append(what)
        return False

    def shape(self) -> Shape:
        """Return the shape of the task that updates are measured on."""
        return TINY if self.small else SHAPES["3s5z" if self.device == "cuda" else "lbf"]

    def settings(self, alg: str) -> dict[str, Any]:
        """Return what updates are measured with besides a config's own settings."""
        return {"batch_size": self.batch_size} | (SMALL if self.small and alg == "dmawm" else {})

    def ways_to_update(self, alg: str) -> dict[str, dict[str, Any]]:
        """Return the settings that an update is measured with, by a name for each."""
        ways: dict[str, dict[str, Any]] = {alg: {}}
        if alg not in VALUES:
            return ways
        if self.device == "cuda":
            ways[f"{alg}, as a CUDA graph"] = {"cuda_graph": True}
            ways[f"{alg}, as a CUDA graph in bfloat16"] = {"cuda_graph": True, "autocast": "bfloat16"}
        elif self.small:
            ways[f"{alg}, in bfloat16"] = {"autocast": "bfloat16"}
        return ways

    def ways_to_run(self, alg: str) -> dict[str, list[str]]:
        """Return the words that a whole run is measured with, by what its name gets."""
        ways = {"": ["overlap=0"]} | ({", overlap=1": ["overlap=1"]} if alg != "mappo" else {})
        if self.device == "cuda" and alg in VALUES:
            ways[", acting_graph"] = ["overlap=0", "acting_graph=True"]
            ways[", overlap=1, acting_graph"] = ["overlap=1", "acting_graph=True"]
            ways[", all of it in bfloat16"] = ["overlap=1", "acting_graph=True", "autocast=bfloat16"]
        return ways


def tests(day: Day) -> dict[str, Any] | None:
    """Run the tests that need a GPU."""
    if day.device == "cpu" or not day.has_time_for("the CUDA tests", 60):
        return None
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/test_cuda.py"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=min(150, day.left), check=False)
    except subprocess.TimeoutExpired:
        return {"exit_code": None, "said": "they took longer than there was time for"}
    return {"exit_code": done.returncode, "said": done.stdout.strip().splitlines()[-1], "output": done.stdout[-4000:]}


def rates(day: Day) -> dict[str, float]:
    """Return what the device can do: operations a second in float32, TF32 and bfloat16 products, bytes a second."""
    size, device = 512 if day.small else (8192 if day.device == "cuda" else 2048), day.device
    found = {"float32": product_rate(device) if not day.small else 1e9}
    halves = th.randn(size, size, device=device).bfloat16()
    found["bfloat16"] = 2 * size**3 / seconds(lambda: halves @ halves, device, day.repeats, 2)
    if device == "cuda":
        x = th.randn(size, size, device=device)
        th.backends.cuda.matmul.allow_tf32 = True
        found["tf32"] = 2 * size**3 / seconds(lambda: x @ x, device, day.repeats, 2)
        th.backends.cuda.matmul.allow_tf32 = False
    large = th.empty(2**20 if day.small else 2**28, device=device)
    there = th.empty_like(large)
    found["bytes"] = 2 * large.numel() * 4 / seconds(lambda: there.copy_(large), device, day.repeats, 2)
    return found


class Update:
    """One learner's update on random episodes of a shape."""

    def __init__(self, alg: str, shape: Shape, device: str, batch_size: int, settings: dict[str, Any]) -> None:
        self.learner = make_learner(alg, shape, device, **settings)
        args = self.learner.args
        self.experience = EXPERIENCES[self.learner.EXPERIENCE](
            scheme_of(shape), {"agents": shape.N}, args.buffer_size, shape.T + 1, 0, device
        )
        self.batch_size, self.episodes = batch_size, make_batch(shape, batch_size)
        self.per_call = args.updates_per_run if self.learner.EXPERIENCE == "replay" else 1

    def __call__(self) -> None:
        """Take an update (as many as a round has, see `per_call`); what it learns from is put in before."""
        if self.experience.inserted - self.experience.oldest < self.batch_size:
            self.experience.insert_episode_batch(self.episodes)
        self.learner.trial_update(self.experience)


def roofline(day: Day) -> dict[str, Any]:
    """Return for every learner's update its time, kernels' time, operations, traffic and peak memory."""
    found: dict[str, Any] = {}
    for alg in ALGS:
        for name, settings in day.ways_to_update(alg).items():
            if day.has_time_for(f"the update of {name}", 25 if not day.small else 0):
                found[name] = one_update(day, alg, settings)
    return found


def one_update(day: Day, alg: str, settings: dict[str, Any]) -> dict[str, float]:
    """Measure an update with further settings."""
    if day.device == "cuda":
        th.cuda.reset_peak_memory_stats()
    update = Update(alg, day.shape(), day.device, day.batch_size, day.settings(alg) | settings)
    took = seconds(update, day.device, day.repeats, warm_up=1 if day.small else 6) / update.per_call
    figures = {"seconds": took, "parameters": sum(p.numel() for p in update.learner.parameters)}
    if day.device == "cuda":
        figures["kernel_seconds"] = kernel_seconds(update) / update.per_call
        figures["peak_bytes"] = th.cuda.max_memory_allocated()
    fast, linear.ONE_DNN = linear.ONE_DNN, None  # which has no formulas
    counted = Update(alg, day.shape(), "cpu", day.batch_size, day.settings(alg))
    with OperationCounter() as operations, TrafficCounter() as traffic:
        counted()
    linear.ONE_DNN = fast
    return figures | {"operations": operations.total / counted.per_call, "bytes": traffic.total / counted.per_call}


def kernel_seconds(update: Callable[[], None], calls: int = 3) -> float:
    """Return the time that a GPU spends in kernels per call."""
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        for _ in range(calls):
            update()
        synchronise("cuda")
    kernels = (e for e in profiler.events() if e.device_type == DeviceType.CUDA and not e.is_user_annotation)
    return sum(event.time_range.elapsed_us() for event in kernels) / calls / 1e6


def scaling(day: Day) -> dict[str, dict[str, float]]:
    """Return seconds of an update by algorithm and number of agents, the state being all observations in a row."""
    found: dict[str, dict[str, float]] = {}
    for alg in ALGS:
        for n_agents in (2, 3) if day.small else AGENTS:
            if not day.has_time_for(f"{alg} with {n_agents} agents", 0 if day.small else 20):
                continue
            base = day.shape()
            shape = base._replace(N=n_agents, T=min(base.T, 50), state_size=n_agents * base.obs_size)
            batch_size = 4 if day.small else 32
            update = Update(alg, shape, day.device, batch_size, day.settings(alg) | {"batch_size": batch_size})
            took = seconds(update, day.device, 1 if day.small else 3, warm_up=1) / update.per_call
            found.setdefault(alg, {})[str(n_agents)] = took
    return found


def runs(day: Day) -> dict[str, dict[str, Any]]:
    """Return speed and time split of whole runs."""
    found: dict[str, dict[str, Any]] = {}
    tasks = {"lbf": ["env_args.key=Foraging-2s-10x10-3p-3f-v3"], "smax": ["env_args.map_name=3s5z"]}
    if find_spec("jaxmarl") is None or day.small:
        del tasks["smax"]
    for task, words in tasks.items():
        for alg in ALGS:
            for way, further in day.ways_to_run(alg).items():
                name = f"{alg} on {task}{way}"
                if day.has_time_for(f"the run of {name}", 25 if not day.small else 0):
                    found[name] = whole_run(day, alg, task, [*words, *further])
    return found


def whole_run(day: Day, alg: str, task: str, words: Sequence[str]) -> dict[str, Any]:
    """Train for some steps through the command line; return speed, shares, and how busy the GPU was."""
    steps = 60 if day.small else (20_000 if alg != "dmawm" else 3_000)
    settings = ["seed=1", f"t_max={steps}", f"log_interval={steps // 4}", "test_nepisode=8", f"device={day.device}"]
    settings += ["save_model=False", "test_interval=100000000", f"learner_log_interval={steps}", *words]
    if day.device == "cuda" and alg in VALUES:
        settings += ["cuda_graph=True", "buffer_device=learner", "batch_size_run=32"]
    if day.small:
        settings += ["batch_size=8", *(f"{key}={value}" for key, value in SMALL.items() if alg == "dmawm")]
    with tempfile.TemporaryDirectory() as results:
        line = [sys.executable, str(ROOT / "src" / "main.py"), f"--config={alg}", f"--env-config={task}", "with"]
        line += [*settings, f"local_results_path={results}"]
        busy = Busy() if day.device == "cuda" else None
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=max(30, day.left), env=env, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": "it took longer than there was time for", "command": " ".join(line)}
        busy_share = busy.done() if busy is not None else None
        if done.returncode != 0:
            return {"failed": done.stderr.strip()[-500:], "command": " ".join(line)}
        (metrics,) = Path(results).rglob("metrics.json")
        figures = json.loads(metrics.read_text())
    shares = {name[5:]: series["values"][-1] for name, series in figures.items() if name.startswith("time_")}
    return {
        "steps": figures["return_mean"]["steps"][-1],
        "steps_per_second": figures["steps_per_second"]["values"][-1],
        "shares": shares,
        "gpu_busy": busy_share,
        "command": " ".join(["python", "src/main.py", *line[2:-1]]),
    }


class Busy:
    """How busy the GPU is, as `nvidia-smi` says every second: the mean of the second half, for runs start slowly."""

    def __init__(self) -> None:
        words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-l", "1"]
        try:
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            self._process = None

    def done(self) -> float | None:
        """Stop looking; return the share in [0, 1], None where nothing was seen."""
        if self._process is None:
            return None
        self._process.terminate()
        told = self._process.communicate()[0].split()
        seen = [float(value) for value in told if value.replace(".", "").isdecimal()]
        return float(np.mean(seen[len(seen) // 2 :])) / 100 if seen else None


SECTIONS: dict[str, Callable[[Day], Any]] = {
    "rates": rates, "tests": tests, "roofline": roofline, "runs": runs, "scaling": scaling,
}  # fmt: skip


def main() -> None:
    """Measure section by section, and write what there is after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if th.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--out", type=Path, default=Path("gpu_day"))
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--small", action="store_true", help="tiny sizes: to see that it runs")
    args = parser.parse_args()
    keep_freed_memory()
    day, figures, path = Day(args), {}, args.out / "gpu_day.json"
    for name in args.sections:
        print(f"{name}: {day.left:.0f} s are left", flush=True)
        figures[name] = SECTIONS[name](day)
        figures["left_out"] = day.left_out
        record(path, "gpu_day", {"device": day.device, "small": day.small} | figures)
    text = page(json.loads(path.read_text()))
    (args.out / "gpu_day.md").write_text(text)
    print(text)


if __name__ == "__main__":
    command(main)
