"""What it costs to keep the best checkpoint, beside the evaluation that finds it.

    python benchmarks/best_checkpoint.py
"""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from answers import command
from common import CONFIG_DIR

from settings import resolve
from training.assembly import build
from training.evaluation import BEST, evaluate, keep_if_best
from training.loop import learn, play_round
from utils.logging import Console

SAVES = 20


def measure(alg: str, episodes: int) -> str:
    """Return a line about one algorithm on LBF, with so many episodes per evaluation."""
    settings = {"protocol": "lbf", "seed": "1", "batch_size": "8", "test_nepisode": str(episodes)}
    run = build(resolve(alg, "lbf", settings, CONFIG_DIR))
    play_round(run)
    learn(run)  # Adam has its averages from here on
    with TemporaryDirectory() as folder:
        start = perf_counter()
        evaluate(run, Path(folder), Console(0, 1, alg))
        evaluation, saves = perf_counter() - start, []
        for number in range(SAVES):
            run.logger.log_stat(run.args.report_metric, 2.0 + number, run.t_env)
            start = perf_counter()
            keep_if_best(run, Path(folder))
            saves.append(perf_counter() - start)
        size = sum(file.stat().st_size for file in Path(folder).glob(f"{BEST}/t_*/*"))
    run.close()
    milliseconds = 1000 * median(saves)
    return f"{alg}: evaluation {evaluation:.2f} s, keeping the best {milliseconds:.0f} ms, {size / 1e6:.1f} MB"


def main() -> None:
    """Print a line for each algorithm."""
    parser = argparse.ArgumentParser(description="What it costs to keep the best checkpoint.")
    parser.add_argument("--episodes", type=int, default=100, help="per evaluation")
    for name in ("qmix", "mmsa"):
        print(measure(name, parser.parse_args().episodes))


if __name__ == "__main__":
    command(main)
