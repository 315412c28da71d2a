"""The Slurm script, with stand-ins for sbatch and scontrol: real processes, real signals."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_until
from test_resume import same_run
from tiny_runs import MAIN, TINY, play, read, words

from training.checkpoint import find_checkpoint

ROOT = MAIN.parents[1]
SCRIPT = ROOT / "scripts" / "slurm_run.sh"
AGAIN = ["requeue 7"]
WAIT = 240  # seconds, on a busy machine
SETTINGS = TINY | {"t_max": "3000", "env_args.key": "two_step", "save_model_interval": "1000000"}


@pytest.fixture
def cluster(tmp_path):
    """A folder with a `scontrol` that writes down what it is asked for."""
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "scontrol").chmod(0o755)
    return tmp_path


def sbatch(cluster, *arguments, **environment):
    """Start the script as Slurm does: its shell alone, in a session of its own."""
    given = {"SLURM_JOB_ID": "7", "PYTHON": sys.executable, "PATH": f"{cluster}:{os.environ['PATH']}"} | environment
    return subprocess.Popen(
        ["bash", str(SCRIPT), *map(str, arguments)], cwd=ROOT, env=os.environ | given, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def asked(cluster):
    return (cluster / "asked").read_text().splitlines() if (cluster / "asked").exists() else []


def test_a_job_that_is_told_of_its_end_saves_and_is_queued_again_until_it_is_done(cluster, tmp_path):
    results = tmp_path / "my run"
    line = [results, *words("vdn", "matrix_game", SETTINGS | {"t_max": "1000000"})]
    with sbatch(cluster, *line) as job:
        wait_until(lambda: list(results.rglob("eval_episodes.csv")) or job.poll() is not None, WAIT)
        os.kill(job.pid, signal.SIGUSR1)  # as --signal=B:USR1@60 does: to the shell alone
        out, _ = job.communicate(timeout=WAIT)
    assert job.returncode == 0 and asked(cluster) == ["requeue 7"], out
    (folder,) = (path.parent for path in results.rglob("config.json"))
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    at = int(find_checkpoint(str(folder)).name[2:])
    config = folder / "config.json"
    config.write_text(re.sub(r'"t_max": \d+', f'"t_max": {at + 100}', config.read_text()))
    with sbatch(cluster, *line) as job:
        out, _ = job.communicate(timeout=WAIT)
    assert job.returncode == 0 and len(asked(cluster)) == 1, out
    whole = play("vdn", "matrix_game", tmp_path / "whole", **SETTINGS | {"t_max": str(at + 100)})
    same_run(whole, folder)


@pytest.mark.parametrize(
    ("code", "times", "queued", "ends"),
    [(75, 1, AGAIN, 0), (75, 3, AGAIN * 2, 75), (2, 1, [], 2), (143, 1, AGAIN, 0), (0, 1, [], 0)],
)
def test_only_what_may_go_on_is_queued_again(code, times, queued, ends, cluster, tmp_path):
    (python := cluster / "python").write_text(f"#!/bin/sh\nexit {code}\n")
    python.chmod(0o755)
    for _ in range(times):
        with sbatch(cluster, tmp_path / "r", PYTHON=str(python), PATIENCE="2", PAUSE="0") as job:
            job.communicate(timeout=WAIT)
    assert (asked(cluster), job.returncode) == (queued, ends)


def test_the_script_asks_slurm_for_what_the_page_says():
    said = re.findall(r"^#SBATCH (\S+)", SCRIPT.read_text(), re.MULTILINE)
    assert {"--requeue", "--signal=B:USR1@60", "--open-mode=append"} <= set(said)
    assert Path(ROOT / "docs" / "clusters.md").read_text().count("B:USR1@60") >= 1
