"""What a checkpoint costs, in time and in bytes.

    python benchmarks/checkpoint.py --config mmsa --rounds 60

Plays rounds and saves after every `--every` of them, as training does. The first checkpoint makes all folders; the
median is of the others.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from answers import command
from common import CONFIG_DIR

from settings import resolve
from training.assembly import build
from training.loop import learn, play_round
from training.resuming import save


def size(folder: Path) -> dict[str, int]:
    """Return the bytes of every file below a folder by its path there."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    """Play, save, and print what each checkpoint wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="mmsa")
    parser.add_argument("--env-config", default="lbf")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--every", type=int, default=10, help="rounds of batch_size_run episodes between checkpoints")
    args = parser.parse_args()
    settings = {"seed": "1", "device": "cpu", "batch_size": "8", "updates_per_run": "1"}
    run = build(resolve(args.config, args.env_config, settings, CONFIG_DIR))
    times, written = [], []
    with TemporaryDirectory() as results:
        for number in range(1, args.rounds + 1):
            play_round(run)
            learn(run)
            if number % args.every == 0:
                before = size(Path(results))
                start = time.perf_counter()
                save(run, Path(results))
                times.append(time.perf_counter() - start)
                after = size(Path(results))
                written.append({path: after[path] for path in after.keys() - before.keys()})
    run.close()
    steps = run.t_env / len(times)
    print(f"{args.config} on {run.task}, a checkpoint after every {steps:.0f} environment steps")
    for number, files in enumerate(written):
        parts = {"checkpoint": 0, "replay": 0}
        for path, n_bytes in files.items():
            parts["replay" if path.startswith("replay") else "checkpoint"] += n_bytes
        print(f"{1e3 * times[number]:6.0f} ms" + "".join(f", {name} {n / 1e3:.0f} kB" for name, n in parts.items()))
    print(f"median {1e3 * median(times[1:]):.0f} ms; replay in memory {run.experience.n_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    command(main)
