"""A run that is stopped, politely or not, leaves an archive that can be read, and goes on as if nothing had been."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from processes import WAIT, group, running, wait_until
from test_resume import figures, same_run
from tiny_runs import MAIN, TINY, play, read, words

import main
from training.checkpoint import find_checkpoint

SETTINGS = TINY | {"t_max": "4000", "save_model_interval": "200", "env_args.key": "two_step"}
HERE = "results/sacred/two_step/{alg}/1"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def whole_run(alg, results="whole"):
    return play(alg, "matrix_game", results, **{k: v for k, v in SETTINGS.items() if k not in TINY or TINY[k] != v})


@pytest.mark.parametrize(
    ("signum", "code", "runner", "threads"),
    [(signal.SIGINT, 130, "vector", "2"), (signal.SIGTERM, 143, "parallel", "1"), (signal.SIGTERM, 143, "vector", "2")],
)
def test_a_polite_stop_saves_first_and_the_run_goes_on_from_there(signum, code, runner, threads):
    settings = SETTINGS | {"save_model_interval": "1000000", "t_max": "1000000", "runner": runner, "threads": threads}
    folder = Path(HERE.format(alg="mmsa"))
    with running(MAIN, *words("mmsa", "matrix_game", settings)) as process:
        wait_until(lambda: (folder / "metrics.json").exists() or process.poll() is not None)
        os.killpg(process.pid, signum)  # as a cluster does it: to every process of the group
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == code, err
    wait_until(lambda: not group(process.pid))  # multiprocessing's resource tracker ends a moment later
    assert "Traceback" not in err and "stopping after this round" in err
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    stopped_at = int(find_checkpoint(str(folder)).name[2:])
    assert stopped_at > 0
    assert main.main([f"resume={folder}", "with", f"t_max={stopped_at + 300}"]) == 0
    settings |= {"t_max": str(stopped_at + 300), "local_results_path": "whole"}
    assert main.main(words("mmsa", "matrix_game", settings)) == 0
    whole = Path("whole/sacred/two_step/mmsa/1")
    assert (folder / "eval_episodes.csv").read_text() == (whole / "eval_episodes.csv").read_text()
    assert figures(folder)["loss_td"] == figures(whole)["loss_td"]


def test_a_second_signal_stops_at_once():
    settings = SETTINGS | {"t_max": "1000000", "test_nepisode": "1000000"}  # the first evaluation never ends
    folder = Path(HERE.format(alg="vdn"))
    with running(MAIN, *words("vdn", "matrix_game", settings)) as process:
        wait_until(lambda: (folder / "config.json").exists() or process.poll() is not None)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 143 and "Traceback" not in err
    assert read(folder, "run.json")["status"] == "INTERRUPTED"


@pytest.mark.slow
@pytest.mark.parametrize("alg", ["qmix", "mmsa_paper"])
def test_a_run_killed_at_twenty_moments_ends_as_one_that_was_not(alg):
    whole, folder = whole_run(alg), Path(HERE.format(alg=alg))
    rng = random.Random(1)
    for _ in range(20):
        begin = [f"resume={folder}"] if (folder / "config.json").exists() else words(alg, "matrix_game", SETTINGS)
        with running(MAIN, *begin) as process, suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(2.5, 6.0))  # leaving the block kills it
        for name in ("config.json", "run.json", "metrics.json", "info.json"):
            if (folder / name).exists():
                read(folder, name)
        if (folder / "run.json").exists() and read(folder, "run.json")["status"] == "COMPLETED":
            break
    else:
        assert main.main([f"resume={folder}"]) == 0
    same_run(whole, folder)
