"""Whether a long run stays as it is: memory, open files, processes and speed over time, on the parallel runner.

    python benchmarks/soak.py --minutes 20
    python benchmarks/soak.py --minutes 60 --steps 2000000

Trains through the command line into a folder that is removed afterwards, looks at the run and its workers every few
seconds, and ends it by SIGTERM. Growth is the slope of a straight line through what was seen after the warm-up, in
which replay fills. Speed is given by the clock and by the trainer's processor time, which other programs disturb less.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import psutil
from answers import command

MAIN = Path(__file__).parents[1] / "src" / "main.py"
MIB = 2**20


class Look(NamedTuple):
    """The run at one moment. Memory is MiB, a page that processes share counted once; `steps` of the environments.

    `seconds` is the processor time that the trainer has had.
    """

    minutes: float
    trainer: float
    workers: float
    files: int
    threads: int
    processes: int
    steps: int
    seconds: float


def words(args: argparse.Namespace, results: str) -> list[str]:
    """Return the run's command line: replay is small, so that it is full soon, and checkpoints come often."""
    settings = {
        "runner": "parallel", "batch_size_run": args.workers, "t_max": 10**12, "seed": 1, "device": "cpu",
        "buffer_size": 500, "batch_size": 32, "save_model_interval": 5000, "keep_checkpoints": 2,
        "test_interval": 5000, "log_interval": 1000, "local_results_path": results,
    }  # fmt: skip
    settings |= dict(word.split("=", 1) for word in args.settings)
    given = [f"{key}={value}" for key, value in settings.items()]
    algorithm, environment = f"--config={args.config}", f"--env-config={args.env_config}"
    return [sys.executable, str(MAIN), algorithm, environment, "with", *given]


def look(trainer: psutil.Process, results: str, started: float) -> Look | None:
    """Return how the run is now, or None before its first figures."""
    figures = next(Path(results).glob("sacred/*/*/*/metrics.json"), None)
    if figures is None:
        return None
    family = [trainer, *trainer.children(recursive=True)]
    memory = [process.memory_full_info().pss / MIB for process in family]
    return Look(
        minutes=(time.monotonic() - started) / 60,
        trainer=memory[0],
        workers=sum(memory[1:]),
        files=sum(process.num_fds() for process in family),
        threads=sum(process.num_threads() for process in family),
        processes=len(family),
        steps=max(series["steps"][-1] for series in json.loads(figures.read_text()).values()),
        seconds=sum(trainer.cpu_times()[:2]),
    )


def watch(args: argparse.Namespace, results: str) -> tuple[list[Look], int, int]:
    """Run; return what was seen, the exit code, and how many processes were left when it had ended."""
    started = time.monotonic()
    looks = []
    with subprocess.Popen(words(args, results), stdout=subprocess.DEVNULL) as process:
        trainer = psutil.Process(process.pid)
        try:
            while time.monotonic() - started < 60 * args.minutes and process.poll() is None:
                time.sleep(args.every)
                if (seen := look(trainer, results, started)) is not None:
                    looks.append(seen)
                    if seen.steps >= args.steps:
                        break
            family = trainer.children(recursive=True) if process.poll() is None else []
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
    left = psutil.wait_procs(family, timeout=5)[1]
    return looks, code, len(left)


def report(looks: Sequence[Look], warm_up: float | None) -> None:
    """Print ten moments, the growth per hour after the warm-up (minutes), and the speed in four parts after it."""
    if not looks:
        raise SystemExit("the run had no figures yet: give more --minutes")
    warm_up = looks[-1].minutes / 4 if warm_up is None else warm_up
    print(f"{'minute':>7} {'trainer':>9} {'workers':>9} {'files':>6} {'threads':>8} {'processes':>10} {'steps':>9}")
    for seen in looks[:: max(1, len(looks) // 10)]:
        print(
            f"{seen.minutes:7.1f} {seen.trainer:6.0f}MiB {seen.workers:6.0f}MiB {seen.files:6} {seen.threads:8} "
            f"{seen.processes:10} {seen.steps:9}"
        )
    warm = [seen for seen in looks if seen.minutes >= warm_up]
    if len(warm) < 3:
        raise SystemExit(f"only {len(warm)} looks after the warm-up of {warm_up:g} minutes: give more --minutes")
    hours = np.array([seen.minutes / 60 for seen in warm])
    for name in ("trainer", "workers", "files", "threads", "processes"):
        values = [getattr(seen, name) for seen in warm]
        print(f"{name}: mean {mean(values):.1f}, growth {np.polyfit(hours, values, 1)[0]:+.1f} per hour")
    print(f"{'steps from':>12} {'to':>9} {'per second':>11} {'per processor second':>21}")
    for part in np.array_split(np.arange(len(warm) - 1), min(4, len(warm) - 1)):
        first, last = warm[part[0]], warm[part[-1] + 1]
        took = 60 * (last.minutes - first.minutes), last.seconds - first.seconds
        by_clock, by_processor = ((last.steps - first.steps) / each for each in took)
        print(f"{first.steps:12} {last.steps:9} {by_clock:11.0f} {by_processor:21.0f}")


def main() -> None:
    """Read the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=float, default=float("inf"), help="ends the run before its minutes are over")
    parser.add_argument("--warm-up", type=float, help="minutes; a quarter of all that it took if not given")
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks")
    parser.add_argument("--config", default="qmix")
    parser.add_argument("--env-config", default="lbf")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("settings", nargs="*", help="more settings of the run, such as threads=2 or runner=vector")
    args = parser.parse_args()
    with TemporaryDirectory() as results:
        looks, code, left = watch(args, results)
        report(looks, args.warm_up)
    print(f"exit code {code}, processes left {left}")


if __name__ == "__main__":
    command(main)
