"""One short training run per suite and algorithm, by the commands a user would give: speed and returns.

    python benchmarks/suites.py --steps 20000

Prints a Markdown table, row by row. The runs come one after the other, each a process of its own with one thread, and
leave their archives below `--results`. «Steps/s» is of the whole run as its archive times it: compiling, evaluations
and checkpoints included. Steps per CPU second count what the process itself used, imports too: they are what a run
would reach on a machine that does nothing else, and hang less on what else this one does.
"""

import argparse
import json
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from answers import command

MAIN = Path(__file__).parents[1] / "src" / "main.py"
LONG_EPISODES = "batch_size_run=4 batch_size=8 updates_per_run=4 target_update_interval=40 test_nepisode=8"
POLICIES = "batch_size_run=4 batch_size=4 test_nepisode=8"  # for methods that learn from fresh episodes
PICTURES = "batch_size_run=2 batch_size=2 buffer_size=4 test_nepisode=2"
TASKS = {  # name -> its environment's config, and what follows `with`
    "lbf": ("lbf", ""),
    "flatland": ("flatland", ""),
    "overcooked": ("overcooked", LONG_EPISODES),
    "3s5z": ("smax", "env_args.map_name=3s5z"),
    "smacv2_5_units": ("smax", "env_args.map_name=smacv2_5_units"),
    "HalfCheetah_6x1": ("mamujoco", "env_args.scenario=HalfCheetah env_args.agent_conf=6x1"),
    "Ant_8x1": ("mamujoco", "env_args.scenario=Ant env_args.agent_conf=8x1"),
    "rware": ("gymma", f"env_args.key=rware:rware-tiny-2ag-v2 env_args.time_limit=500 {LONG_EPISODES}"),
    "mpe": ("gymma", "env_args.key=pz-mpe-simple-spread-v3 env_args.time_limit=25"),
}
DOORS = {  # what comes through gymma's door beside these; some need packages of their own (docs/environments.md)
    "reference": "pz-mpe-simple-reference-v3 env_args.time_limit=25",
    "speaker_listener": "pz-mpe-simple-speaker-listener-v4 env_args.time_limit=25",
    "formation": "pz-mpe-simple-formation-v1 env_args.time_limit=25",
    "line": "pz-mpe-simple-line-v1 env_args.time_limit=25",
    "collect_treasure": "mpe2.collect_treasure_v1 env_args.time_limit=25",
    "climbing": "matrixgames:climbing-nostate-v0 env_args.time_limit=25",
    "penalty": "matrixgames:penalty-100-nostate-v0 env_args.time_limit=25",
    "pursuit": f"pz-sisl-pursuit-v5 env_args.time_limit=500 {LONG_EPISODES}",
    "multiwalker": f"pz-sisl-multiwalker-v9 env_args.state=concat env_args.time_limit=500 {POLICIES}",
    "waterworld": f"pz-sisl-waterworld-v4 env_args.time_limit=500 {POLICIES}",
    "balance": "vmas-balance env_args.time_limit=100 batch_size=8 batch_size_run=8",
    "magent": f"magent2.environments.adversarial_pursuit_v4 env_args.time_limit=100 {LONG_EPISODES}",
    "pistonball": f"pz-butterfly-pistonball-v6 env_args.time_limit=125 env_args.kwargs.n_pistons=4 "
    f"env_args.kwargs.continuous=False {PICTURES}",
    "pong": f"small_pong env_args.state=concat env_args.time_limit=500 {LONG_EPISODES}",
}
TASKS |= {name: ("gymma", f"env_args.key={key}") for name, key in DOORS.items()}
HEADER = (
    "| task | algorithm | steps | minutes | steps/s | steps per CPU second | greedy return before | after "
    "| battles won after |"
)


def train(task: str, alg: str, args: argparse.Namespace) -> str:
    """Train once and return the table's row."""
    env, settings = TASKS[task]
    results = Path(args.results) / f"{task}-{alg}"
    given = [*settings.split(), f"t_max={args.steps}", f"seed={args.seed}", "device=cpu", *args.settings]
    latest = {word.partition("=")[0]: word for word in given}
    words = [f"--config={alg}", f"--env-config={env}", "with", *latest.values(), f"local_results_path={results}"]
    cpu_before = cpu_seconds()
    subprocess.run([sys.executable, str(MAIN), *words], check=True, stdout=subprocess.DEVNULL)
    cpu = cpu_seconds() - cpu_before
    (folder,) = [path.parent for path in results.rglob("metrics.json")]
    run, figures = (json.loads((folder / name).read_text()) for name in ("run.json", "metrics.json"))
    started, ended = (datetime.fromisoformat(run[name]) for name in ("start_time", "stop_time"))
    seconds, returns = (ended - started).total_seconds(), figures["test_return_mean"]
    steps = returns["steps"][-1]
    won = f"{figures['test_battle_won_mean']['values'][-1]:.2f}" if "test_battle_won_mean" in figures else ""
    before, after = returns["values"][0], returns["values"][-1]
    speeds = (f"{seconds / 60:.1f}", f"{steps / seconds:.0f}", f"{steps / cpu:.0f}")
    cells = (task, alg, steps, *speeds, f"{before:.3g}", f"{after:.3g}", won)
    return "| " + " | ".join(map(str, cells)) + " |"


def cpu_seconds() -> float:
    """Return the CPU time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--algs", nargs="+", default=["mmsa", "qmix", "vdn"])
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="in place of a task's")
    parser.add_argument("--results", default="results/suites", help="a folder that holds no such runs yet")
    args = parser.parse_args()
    print(HEADER + "\n" + "|---" * (HEADER.count("|") - 1) + "|")
    for task in args.tasks:
        for alg in args.algs:
            print(train(task, alg, args), flush=True)


if __name__ == "__main__":
    command(main)
