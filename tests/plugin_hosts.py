"""Hosts to install the plugin in: miniatures of PyMARL2 and EPyMARL; and the same training, here and in a host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mend_host
import pytest
import torch as th
from fixtures_mmsa import SMALL_MMSA, drifted, make_batch, make_learner, per_episode

from learners.targets import greedy_actions
from plugin.mendings import NAMES

HOSTS = Path(__file__).parent / "hosts"
REPOSITORY = HOSTS.parents[1]
REGISTRIES = [f"src/{room}/__init__.py" for room in ("modules/agents", "controllers", "learners")]
MINUTE = 60.0  # in seconds
QUANTITIES = ("state", "obs", "avail_actions", "actions", "reward", "terminated", "filled")
UPDATES = 6


def miniature(name, folder):
    """Put a miniature of a host into a folder."""
    for part in ("common", name):
        shutil.copytree(HOSTS / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def mended_copy(variable, place):
    """Copy the checkout that an environment variable names, all mendings in it; skip the test where there is none."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    ignored = shutil.ignore_patterns(".git", "results", "__pycache__")
    root = Path(shutil.copytree(Path(os.environ[variable]).expanduser(), place, ignore=ignored))
    assert mend_host.main([str(root), *NAMES]) == 0
    return root


def python(root, *words):
    """Run Python in a host and return all that it said, errors last; fail with it if it fails."""
    command = [sys.executable, *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10 * MINUTE, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def train_here(settings, seed=4):
    """Play and train on settings of MMSA; return the case, to be repeated in a host, and what came of it here."""
    logged = {"target_update_interval": 4, "learner_log_interval": 1}
    learner, batch = drifted(make_learner("mmsa", **logged, **settings)), make_batch(seed=seed)
    case = {
        "episodes": {name: batch[name].clone() for name in QUANTITIES},
        "tensors": {name: tensor.clone() for name, tensor in learner.state_tensors().items()},
        "numbers": learner.state_numbers(),
        "settings": {"use_cuda": False, **SMALL_MMSA, **logged, **settings},
        "seed": seed,
        "updates": UPDATES,
    }
    played = per_episode(batch, lambda rows: greedy_at(learner, rows)).masked_fill(~batch["filled"], -1)
    th.manual_seed(seed)
    for update in range(UPDATES):
        learner.train(batch, t_env=update, episode_num=update)
    stats = {name: series["values"] for name, series in learner.logger.history.items()}
    return case, {"played": played, "stats": stats, "tensors": learner.state_tensors()}


@th.no_grad()
def greedy_at(learner, rows):
    """Return what the agents would do at every row, (R, N)."""
    h = learner.agent.encode(learner.mac.build_inputs(rows), rows.sizes)
    return greedy_actions(learner.agent.q_from_hidden(h, rows["obs"]), rows["avail_actions"])


def train_there(root, folder, cases):
    """Train on the cases in a host, and return what came of each."""
    th.save(cases, folder / "cases.pt")
    python(root / "src", Path(__file__).with_name("host_losses.py"), folder / "cases.pt", folder / "out.pt")
    return th.load(folder / "out.pt", weights_only=True)


def assert_the_same(there, here):
    """Check actions, and figures and weights to 1e-6; ranks to 1e-3: eigenvalues near zero magnify a last digit."""
    assert th.equal(there["played"], here["played"])
    assert there["stats"].keys() == here["stats"].keys() and len(here["stats"]["loss_td"]) == UPDATES
    for name, values in here["stats"].items():
        tolerance = 1e-3 if name.startswith("rank_") else 1e-6
        assert there["stats"][name] == pytest.approx(values, rel=tolerance, abs=tolerance), name
    th.testing.assert_close(there["tensors"], here["tensors"], rtol=0, atol=1e-6)
