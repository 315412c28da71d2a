"""A run that is stopped, politely or not, leaves an archive that can be read, and goes on as if nothing had been."""

import os
import pty
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from select import POLLIN, poll
from threading import Thread

import pytest
from processes import WAIT, group, running, wait_until
from test_resume import figures, same_run
from tiny_runs import DREAMS, MAIN, TINY, has_trained, play, read, settings_of, words

import main
from runners.parallel_runner import ParallelRunner
from runners.vector_runner import VectorRunner
from training import absolute, evaluation
from training.checkpoint import find_checkpoint, load_checkpoint
from utils import locks, stopping
from utils.stopping import Stopped

SETTINGS = TINY | {"t_max": "4000", "save_model_interval": "200", "env_args.key": "two_step"}
HERE = "results/sacred/two_step/{alg}/1"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def hangups_are_heard():
    """Under `nohup` the tests ignore them, and so would all that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def whole_run(alg, results="whole"):
    return play(alg, "matrix_game", results, **{k: v for k, v in SETTINGS.items() if k not in TINY or TINY[k] != v})


@pytest.mark.parametrize(
    ("signum", "code", "runner", "threads"),
    [
        (signal.SIGINT, 130, "vector", "2"),
        (signal.SIGTERM, 143, "parallel", "1"),
        pytest.param(signal.SIGTERM, 143, "vector", "2", marks=pytest.mark.slow),
    ],
)
def test_a_polite_stop_saves_first_and_the_run_goes_on_from_there(signum, code, runner, threads):
    settings = SETTINGS | {"save_model_interval": "1000000", "t_max": "1000000", "runner": runner, "threads": threads}
    folder = Path(HERE.format(alg="mmsa"))
    with running(MAIN, *words("mmsa", "matrix_game", settings)) as process:
        wait_until(lambda: has_trained(folder) or process.poll() is not None)
        os.killpg(process.pid, signum)  # as a cluster does it: to every process of the group
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == code, err
    wait_until(lambda: not group(process.pid))  # multiprocessing's resource tracker ends a moment later
    assert "Traceback" not in err and "stopping: saves, then ends" in err
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    stopped_at = int(find_checkpoint(str(folder)).name[2:])
    assert stopped_at > 0
    assert main.main([f"resume={folder}", "with", f"t_max={stopped_at + 100}"]) == 0
    settings |= {"t_max": str(stopped_at + 100), "local_results_path": "whole"}
    assert main.main(words("mmsa", "matrix_game", settings)) == 0
    whole = Path("whole/sacred/two_step/mmsa/1")
    assert (folder / "eval_episodes.csv").read_text() == (whole / "eval_episodes.csv").read_text()
    assert figures(folder)["loss_td"] == figures(whole)["loss_td"]


def test_a_dream_that_is_killed_without_warning_goes_on_bit_for_bit():
    """Segments, model, actor and critic with an optimiser each, the scale of returns: all of it comes back."""
    settings = SETTINGS | DREAMS | {"advantage_scale": "range", "rewarded_share": "0.5", "t_max": "1000000"}
    folder = Path(HERE.format(alg="dreamer"))
    with running(MAIN, *words("dreamer", "matrix_game", settings)) as process:
        wait_until(lambda: list(folder.glob("checkpoints/t_2??")) or process.poll() is not None, 120)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert read(folder, "run.json")["status"] == "RUNNING"
    killed_after = find_checkpoint(str(folder))
    tensors = load_checkpoint(killed_after)[0]
    trained = [name for name in tensors if name.startswith(("trained.world.", "trained.actor.", "trained.critic."))]
    assert len({name.split(".")[1] for name in tensors if name.startswith("optimiser.")}) == len(trained)
    assert tensors["trained.scale.range"] > 0
    end = {"t_max": str(int(killed_after.name[2:]) + 100)}
    assert main.main([f"resume={folder}", "with", f"t_max={end['t_max']}"]) == 0
    (again,) = read(folder, "info.json")["resumed"]
    assert again["t_env"] == int(killed_after.name[2:])
    same_run(play("dreamer", "matrix_game", "whole", **settings | end), folder)


class Monkey:
    """Sends a signal to this process in the middle of an episode: at a step of all that are taken, counted by kind."""

    def __init__(self, monkeypatch, signum, kind, number):
        self.signum, self.kind, self.number, self.sent_at, self.now = signum, kind, number, None, "train"
        step, play = VectorRunner._step, evaluation.play_greedy

        def steps(runner, slots, actions):
            self.counts[self.now] = self.counts.get(self.now, 0) + 1
            if self.counts[self.now] == self.number and self.now == self.kind:
                self.sent_at = time.process_time()
                os.kill(os.getpid(), self.signum)
            return step(runner, slots, actions)

        def plays(run, streams):
            self.now = "test"
            results = play(run, streams)
            self.now = "train"
            return results

        self.counts = {}
        monkeypatch.setattr(stopping, "_leave_the_terminal", lambda: None)  # the tests' own
        monkeypatch.setattr(VectorRunner, "_step", steps)
        for module in (evaluation, absolute):
            monkeypatch.setattr(module, "play_greedy", plays)


EARLY = {"t_max": "200", "absolute_factor": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return play("vdn", "lbf", tmp_path_factory.mktemp("undisturbed"), **EARLY)


@pytest.mark.parametrize(
    ("signum", "kind", "number"),
    [
        (signal.SIGTERM, "test", 3),  # the evaluation before the first round
        (signal.SIGHUP, "train", 4),
        (signal.SIGUSR1, "train", 47),
        (signal.SIGUSR2, "test", 14),
        (signal.SIGINT, "test", 45),  # in the last evaluations, one of which is the absolute metric
    ],
)
def test_a_stop_leaves_what_is_being_played_and_it_is_played_again(signum, kind, number, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        monkey = Monkey(patch, signum, kind, number)
        assert main.main(words("vdn", "lbf", settings_of("lbf", **EARLY))) == 128 + signum
        assert time.process_time() - monkey.sent_at < 2, "it took too long to save and end"
        played = monkey.counts[kind]
    assert played <= number, "it went on playing"
    (folder,) = Path("results").glob("sacred/*/vdn/1")
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    assert main.main([f"resume={folder}"]) == 0
    same_run(undisturbed, folder)
    assert (folder / "absolute_episodes.csv").read_text() == (undisturbed / "absolute_episodes.csv").read_text()


def test_of_two_signals_that_insist_the_second_stops_at_once_and_a_hangup_never_does(monkeypatch):
    monkeypatch.setattr(stopping, "_leave_the_terminal", lambda: None)
    request = stopping.StopRequest()
    for signum in (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        request(signum, None)
    with pytest.raises(Stopped) as asked:
        request.check()
    assert asked.value.signum == signal.SIGHUP and not asked.value.at_once
    with pytest.raises(Stopped) as insisted:
        request(signal.SIGINT, None)
    assert insisted.value.at_once


def test_nohup_is_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping.listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
            assert stop.signum is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_waits_for_a_worker_that_hangs_hears_a_stop():
    ours, theirs = os.pipe()
    runner = object.__new__(ParallelRunner)
    runner.polls, runner.stop = [poll()], stopping.StopRequest()
    runner.polls[0].register(ours, POLLIN)
    runner.stop.signum = signal.SIGTERM
    with pytest.raises(Stopped):
        runner._has_answered(0, time.monotonic() + 60)
    os.write(theirs, b"x")
    assert runner._has_answered(0, time.monotonic() + 60)


def test_a_terminal_that_is_closed_lets_the_run_save():
    folder, settings = Path(HERE.format(alg="vdn")), SETTINGS | {"t_max": "1000000", "save_model_interval": "1000000"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, str(MAIN), *words("vdn", "matrix_game", settings)])
    reading = Thread(target=_read_all, args=(terminal,), daemon=True)
    reading.start()
    try:
        wait_until(lambda: has_trained(folder))
    finally:
        os.close(terminal)  # the kernel sends SIGHUP to its foreground group
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    assert find_checkpoint(str(folder)).name != "t_0"


def _read_all(terminal):
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("alg", ["qmix", "mmsa_paper"])
def test_a_run_killed_at_twenty_moments_ends_as_one_that_was_not(alg):
    whole, folder = whole_run(alg), Path(HERE.format(alg=alg))
    rng = random.Random(1)
    for _ in range(20):
        begin = [f"resume={folder}"] if (folder / "config.json").exists() else words(alg, "matrix_game", SETTINGS)
        with running(MAIN, *begin) as process, suppress(subprocess.TimeoutExpired):
            wait_until(lambda process=process: locks.is_held(folder) or process.poll() is not None, 120)
            process.wait(rng.uniform(0.0, 4.0))  # leaving the block kills it
        for name in ("config.json", "run.json", "metrics.json", "info.json"):
            if (folder / name).exists():
                read(folder, name)
        if (folder / "run.json").exists() and read(folder, "run.json")["status"] == "COMPLETED":
            break
    else:
        assert main.main([f"resume={folder}"]) == 0
    same_run(whole, folder)
