"""Digests of short fixed-seed runs: two versions of the code with equal digests learn the same, to the last digit.

    python benchmarks/fixed_seed.py                    # this checkout
    python benchmarks/fixed_seed.py --src ~/other/src  # another one, with the same settings

A line per algorithm: the number of logged figures, and one SHA-256 each of all of them (those of time left out), of the
evaluation episodes, and of the networks at the end. A pure move changes none; on another machine all may differ.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from answers import command
from safetensors.numpy import load_file

SRC = Path(__file__).parents[1] / "src"
ALGS = ("qmix", "iql", "vdn", "mmsa", "mmsa_paper", "mmsa_td7")
OF_TIME = ("time_", "steps_per_second")  # how the names of figures begin that depend on the machine's hour
SETTINGS = (
    "env_args.key=Foraging-5x5-2p-1f-v3", "env_args.episode_limit=20", "seed=1", "t_max=3000", "batch_size=16",
    "test_interval=1000", "test_nepisode=8", "log_interval=500", "learner_log_interval=500", "device=cpu",
    "epsilon_anneal_time=2000", "target_update_interval=32", "save_model_interval=1500",
)  # fmt: skip


def digest(data: bytes) -> str:
    """Return the first 16 digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def digests(src: Path, alg: str, more: list[str]) -> str:
    """Train, and return what is printed of it."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, str(src / "main.py"), f"--config={alg}", "--env-config=lbf", "with", *SETTINGS]
        done = subprocess.run(
            [*command, f"local_results_path={results}", *more],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(f"{alg} failed:\n{done.stderr[-2000:]}")
        (metrics,) = Path(results).rglob("metrics.json")
        figures = {
            name: (series["steps"], series["values"])
            for name, series in json.loads(metrics.read_text()).items()
            if not name.startswith(OF_TIME)
        }
        folder = metrics.parent
        last = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.removeprefix("t_")))
        tensors = load_file(last / "tensors.safetensors")
        networks = b"".join(tensors[name].tobytes() for name in sorted(tensors) if name.startswith("trained."))
        parts = (
            json.dumps(figures, sort_keys=True).encode(), (folder / "eval_episodes.csv").read_bytes(), networks
        )  # fmt: skip
        return f"{len(figures)} figures {' '.join(map(digest, parts))}"


def main() -> None:
    """Print the digests of all algorithms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--src", type=Path, default=SRC, help="the src folder of a checkout")
    parser.add_argument("--algs", nargs="+", default=ALGS, help="configs to run")
    parser.add_argument("--settings", nargs="*", default=[], help="key=value, for all of them")
    args = parser.parse_args()
    for alg in args.algs:
        print(f"{alg}: {digests(args.src.resolve(), alg, args.settings)}", flush=True)


if __name__ == "__main__":
    command(main)
