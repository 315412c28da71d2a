"""Environment steps per second of whole training runs, and where the time goes; beside an EPyMARL checkout if asked.

    python benchmarks/throughput.py --against ~/epymarl

8 environments, batches of 128 episodes, one update per 8 episodes, RNN 64. Runs take turns, round after round, so that
a slow minute of the machine hits all; the ratios are of medians. Speed is that between two log entries of a run's
archive, the first after `WARM_UP` steps, so neither start-up nor the filling of the replay counts.

EPyMARL runs in its own checkout, which is not changed, by the Python given; it must be able to run there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from answers import command
from recorded import record

MAIN = Path(__file__).parents[1] / "src" / "main.py"
TASK = "Foraging-2s-10x10-3p-3f-v3"
PEER = "EPyMARL's QMIX"
WARM_UP = 10_000  # steps
SHARED = ("batch_size_run=8", "batch_size=128", "save_model=False", "test_nepisode=8", "test_interval=100000000")


def run(command: list[str], folder: Path, args: argparse.Namespace) -> None:
    """Run a command to its end in a folder, and show its output if it fails."""
    env = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"this failed in {folder}:\n{' '.join(command)}\n{done.stdout[-3000:]}")


def run_ours(alg: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train and return the run's figures."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, str(MAIN), f"--config={alg}", "--env-config=lbf", "with", f"env_args.key={TASK}"]
        command += [*SHARED, "updates_per_run=1", "log_interval=2000", f"threads={args.threads}", f"t_max={args.steps}"]
        command += [f"device={args.device}", f"local_results_path={results}", *args.settings]
        run(command, MAIN.parents[1], args)
        (metrics,) = Path(results).rglob("metrics.json")
        return json.loads(metrics.read_text())


def run_epymarl(args: argparse.Namespace) -> dict[str, Any]:
    """Train EPyMARL's QMIX with the same hyperparameters and return the run's figures."""
    before = set(args.against.rglob("metrics.json"))
    command = [args.python, "src/main.py", "--config=qmix", "--env-config=gymma", "with", "env_args.time_limit=50"]
    command += [f"env_args.key=lbforaging:{TASK}", *SHARED, "runner=parallel", "use_rnn=True", "obs_last_action=True"]
    command += ["hidden_dim=64", "lr=0.001", f"use_cuda={args.device == 'cuda'}", "runner_log_interval=2000"]
    run([*command, f"t_max={args.steps}"], args.against, args)
    (metrics,) = set(args.against.rglob("metrics.json")) - before
    return json.loads(metrics.read_text())


def steps_per_second(figures: dict[str, Any]) -> float:
    """Return the speed between the first log entry after the warm-up and the last one."""
    returns = figures["return_mean"]
    entries = [
        (steps, datetime.fromisoformat(when))
        for steps, when in zip(returns["steps"], returns["timestamps"], strict=True)
        if steps >= WARM_UP
    ]
    (first, started), (last, ended) = entries[0], entries[-1]
    return (last - first) / (ended - started).total_seconds()


def main() -> None:
    """Read the command line, run in turn, print speeds, shares and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="an EPyMARL checkout")
    parser.add_argument("--python", default=sys.executable, help="the Python that EPyMARL runs with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=40_000, help="environment steps of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here, for report.py")
    parser.add_argument("settings", nargs="*", help="more settings for our runs, such as cuda_graph=True")
    args = parser.parse_args()

    speeds: dict[str, list[float]] = {}
    split: dict[str, dict[str, float]] = {}
    for number in range(args.rounds):
        for name in ("qmix", "mmsa", *([PEER] if args.against else [])):
            figures = run_epymarl(args) if name == PEER else run_ours(name, args)
            speeds.setdefault(name, []).append(steps_per_second(figures))
            shares = {key[5:]: series["values"][-1] for key, series in figures.items() if key.startswith("time_")}
            split[name] = dict(sorted(shares.items(), key=lambda i: -i[1]))
            said = ", ".join(f"{phase} {share:.0%}" for phase, share in split[name].items())
            print(f"round {number + 1}: {name}: {speeds[name][-1]:.0f} steps/s{'; ' * bool(said)}{said}", flush=True)
    for name, each in speeds.items():
        ratio = f", {median(each) / median(speeds[PEER]):.2f} times {PEER}" if args.against and name != PEER else ""
        print(f"{name}: median {median(each):.0f} steps/s{ratio}")
    if args.json is not None:
        runs = {name: {"median": median(each), "rounds": each, "shares": split[name]} for name, each in speeds.items()}
        record(args.json, "throughput", {"peer": PEER, "runs": runs})


if __name__ == "__main__":
    command(main)
