"""Archives written by hand: as small as they can be, and as many as a comparison needs."""

import csv
import json
from datetime import datetime, timedelta

import numpy as np

START = datetime(2026, 1, 1, 10)
TASK = "Foraging-5x5-2p-1f-v3"
KEYS = {"t_max": 200, "test_interval": 100, "test_nepisode": 4, "batch_size": 8, "batch_size_run": 4,
        "updates_per_run": 2, "checkpoint_path": None, "lr": 0.001, "absolute_factor": 0, "protocol": None,
        "report_metric": "test_return_mean", "report_statistic": "mean_interval"}  # fmt: skip


def series(steps, values, seconds):
    times = [(START + timedelta(seconds=s)).isoformat() for s in seconds]
    return {"steps": list(steps), "values": list(values), "timestamps": times}


def archive(root, alg, number, seed, *, task=TASK, values=(0.0, 0.5, 1.0), steps=None, absolute=None, info=None,
            status=None, **config):  # fmt: skip
    """Write a run of half an hour per evaluation, and return its folder."""
    folder = root / "sacred" / task / alg / str(number)
    folder.mkdir(parents=True)
    settings = {"name": alg, "seed": seed, "evaluate": False, "env": "lbf", "env_args": {"key": task}} | KEYS | config
    if steps is None:
        steps = np.linspace(0, settings["t_max"], len(values)).astype(int).tolist()
    seconds = [1800 * place for place in range(len(values))]
    metrics = {
        "test_return_mean": series(steps, values, seconds),
        "episode": series(steps[1:], [step // 5 for step in steps[1:]], seconds[1:]),
    }
    if absolute is not None:
        metrics["absolute_return_mean"] = series([steps[-1]], [absolute], [seconds[-1] + 60])
    write(folder, "config.json", settings)
    write(folder, "metrics.json", metrics if values else {})
    write(folder, "info.json", {"commit": "0" * 40, "environment": {"lbforaging": "2.0.0"}} | (info or {}))
    write(folder, "run.json", {
        "status": "COMPLETED", "start_time": START.isoformat(), "heartbeat": "2026-01-01T12:00:00",
        "host": {"hostname": "lab-3", "cpu": "a CPU", "python_version": "3.11.7"},
        "experiment": {"dependencies": ["numpy==2.4.6"]}, **(status or {}),
    })  # fmt: skip
    write_episodes(folder / "eval_episodes.csv", steps, values, settings["test_nepisode"])
    return folder


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


def write_episodes(path, steps, values, count):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("t_env", "seed", "return", "length", "truncated", "won"))
        points = [(step, i, value) for step, value in zip(steps, values, strict=True) for i in range(count)]
        writer.writerows((*point, 7, 0, "") for point in points)


def study(root, algs=("iql", "mmsa", "qmix"), seeds=5, tasks=(TASK,), evaluations=11, **config):
    """Write a study whose algorithms learn at different speeds, the first not at all."""
    rng = np.random.default_rng(0)
    for task in tasks:
        for place, alg in enumerate(algs):
            for seed in range(1, seeds + 1):
                x = np.linspace(0, 1, evaluations)
                values = np.clip(1 - np.exp(-3 * place * x) + 0.05 * rng.standard_normal(evaluations), 0, 1)
                archive(root, alg, seed, seed, task=task, values=values.tolist(), t_max=100_000, **config)
    return root
