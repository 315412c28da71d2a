"""The parallel runner's processes: errors come out of them, and they end with the run, however it ends."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from threading import Timer

import counting_env
import numpy as np
import pytest
import torch as th
from processes import WAIT, group, is_worker, running, wait_until, workers

from runners.base_runner import Limits
from runners.parallel_runner import ParallelRunner
from runners.vector_runner import VectorRunner
from utils.errors import RunFailedError, UserError
from utils.exits import exit_code
from utils.timing import PhaseClock

TESTS = Path(__file__).parent
SRC = TESTS.parent / "src"
ENV_ARGS = {"n_agents": 3, "n_actions": 5, "episode_limit": 6}
LIMITS = Limits(max_losses_in_a_row=2, env_timeout=WAIT, max_env_restarts=5)


class Taking:
    """A controller that takes the first action that is available, or the first that is not."""

    def __init__(self, available):
        self.available = available

    def init_hidden(self, n):
        return th.zeros(n, 1)

    def draws(self, generators, steps, epsilon):
        return None

    def select_actions(self, batch, t, hidden, epsilon, draws, bs):
        return (batch.array("avail_actions")[bs, t] == self.available).argmax(axis=-1), hidden


def make_runner(n_workers, env_args=ENV_ARGS):
    return ParallelRunner(counting_env.PATH, env_args, n_workers, PhaseClock(), LIMITS)


def play(runner, available=True):
    streams = [(seed, np.random.default_rng(seed)) for seed in range(runner.batch_size)]
    return runner.run(Taking(available), streams, epsilon=0.0)


@pytest.fixture
def three():
    """A runner with three workers."""
    runner = make_runner(3)
    yield runner
    runner.close()


def notes(caught):
    """What an error brings besides its one line."""
    assert "\n" not in str(caught.value)
    return "\n".join(caught.value.__notes__)


def test_an_error_in_a_worker_arrives_with_its_traceback_and_no_process_stays(capsys):
    runner = make_runner(2)
    assert len(workers()) == 2
    with pytest.raises(RunFailedError, match=r"lost 3 times in a row, .*worker 0 failed: ValueError: ") as caught:
        play(runner, available=False)
    for said in (notes(caught), capsys.readouterr().err):  # at the end, and on the way
        assert "Traceback" in said and "counting_env.py" in said and "are not all available" in said
    assert len(workers()) == 2
    runner.close()
    assert not workers()


def test_the_program_says_the_traceback_and_then_one_line(three, capsys):
    three.limits = replace(LIMITS, max_env_restarts=0)
    assert exit_code(lambda: play(three, available=False), "") == 1
    *traceback, line = capsys.readouterr().err.splitlines()
    assert traceback[0].startswith("Traceback") and line.startswith("error: environment worker 0 failed: ValueError")


def test_an_error_while_a_worker_is_built_leaves_no_process():
    with pytest.raises(RunFailedError, match=r"worker 0 failed: TypeError: .*episode_limit") as caught:
        make_runner(2, {"n_agents": 3, "n_actions": 5})
    assert "Traceback" in notes(caught)
    assert not workers()


@pytest.mark.parametrize("at", ["receiving", "sending"])
def test_a_worker_that_is_killed_is_replaced_and_no_process_stays(three, at, capsys):
    expected = play(three)[0].storage
    worker = three.workers[2]
    os.kill(worker.pid, signal.SIGSTOP if at == "receiving" else signal.SIGKILL)
    if at == "receiving":
        Timer(0.3, worker.kill).start()  # a message waits for it and is never read
    else:
        worker.join()
    assert th.equal(play(three)[0].storage, expected)
    assert three.get_stats() == {"episodes_lost": 1.0, "env_restarts": 1.0}
    assert len(workers()) == 3
    assert "environment worker 2 died (SIGKILL); starting another" in capsys.readouterr().err
    three.close()
    assert not workers()


def test_closing_ends_every_process_and_closing_twice_does_no_harm(three):
    play(three)
    assert len(workers()) == 3
    three.close()
    assert not workers()
    three.close()


UNRULY = """
import os, signal, time
from pathlib import Path
from counting_env import CountingEnv
from utils.errors import UserError

class Misled(CountingEnv):
    def __init__(self, **env_args):
        raise UserError("no such map")

class Dying(CountingEnv):
    def reset(self, seed):
        os._exit(3)

class Faulty(CountingEnv):
    # A file "<seed> raises" (or dies, hangs, crashes) makes the next episode of that seed do so, once.
    def reset(self, seed):
        super().reset(seed)
        for fault in Path().glob(f"{seed} *"):
            fault.unlink()
            self.fault = fault.name.split()[1]

    def step(self, actions):
        fault = vars(self).pop("fault", None)
        if fault == "raises":
            raise LookupError("a bug in the environment")
        if fault == "dies":
            os._exit(3)
        if fault == "hangs":
            time.sleep(600)
        if fault == "crashes":
            os.kill(os.getpid(), 11)
        return super().step(actions)

class Stuck(CountingEnv):
    def step(self, actions):
        Path(f"stuck {os.getpid()}").touch()
        time.sleep(600)

class Sick(CountingEnv):
    # Works in the first process alone.
    def __init__(self, **env_args):
        Path(f"started {os.getpid()}").touch()
        if len(list(Path().glob("started *"))) > 1:
            raise LookupError("the package is sick")
        super().__init__(**env_args)

    def step(self, actions):
        os._exit(3)

class Slow(CountingEnv):
    def step(self, actions):
        time.sleep(0.1)
        return super().step(actions)

class Hanging(CountingEnv):
    def close(self):
        time.sleep(600)

class Deaf(Hanging):
    def __init__(self, **env_args):
        super().__init__(**env_args)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Busy(CountingEnv):
    def reset(self, seed):
        Path(f"busy {os.getpid()}").touch()
        time.sleep(600)

    def close(self):
        Path(f"closed {os.getpid()}").touch()

class Tidy(CountingEnv):
    def close(self):
        time.sleep(0.2)
        Path(f"closed {os.getpid()}").touch()
"""


@pytest.fixture
def unruly(tmp_path, monkeypatch):
    """Make runners of environments that workers import from a file of their own."""
    (tmp_path / "unruly.py").write_text(UNRULY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    made = []

    def make(name, kind=ParallelRunner, n=2, **limits):
        made.append(kind(f"unruly:{name}", ENV_ARGS, n, PhaseClock(), replace(LIMITS, **limits)))
        return made[0]

    yield make
    for runner in made:
        runner.close()


def test_a_worker_that_dies_time_and_again_is_named(unruly):
    runner = unruly("Dying")
    with pytest.raises(RunFailedError, match=r"lost 3 times in a row.*worker 0 died"):
        play(runner)
    runner.close()
    assert not workers()


FAULTS = {
    "raises": ("worker 1 failed: LookupError: a bug in the environment", "Traceback"),
    "dies": ("worker 1 died (exit code 3)", ""),
    "crashes": ("worker 1 died (SIGSEGV)", "Segmentation fault"),
    "hangs": ("worker 1 gave no answer for 5 s (env_timeout)", "unruly.py"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_episode_whose_worker_fails_is_played_again_as_it_would_have_been(fault, unruly, tmp_path, capfd):
    runner = unruly("Faulty", env_timeout=5)  # a busy machine takes a second to answer
    expected = play(runner)[0].storage
    before = workers()
    (tmp_path / f"1 {fault}").touch()
    assert th.equal(play(runner)[0].storage, expected)
    assert runner.get_stats() == {"episodes_lost": 1.0, "env_restarts": 1.0}
    assert len(workers()) == 2 and len(workers() & before) == 1
    err = capfd.readouterr().err
    assert all(said in err for said in (*FAULTS[fault], "starting another"))
    assert th.equal(play(runner)[0].storage, expected)
    assert runner.get_stats()["env_restarts"] == 1


def test_more_restarts_than_allowed_within_an_hour_end_the_run(unruly, tmp_path, monkeypatch):
    runner = unruly("Faulty", max_env_restarts=2)
    hour = []  # what is added to the clock
    monkeypatch.setattr("runners.parallel_runner.time.monotonic", lambda now=time.monotonic: now() + sum(hour))
    for later in (0, 1800, 1801):  # the first is forgotten by then
        hour.append(later)
        (tmp_path / "0 raises").touch()
        play(runner)
    for slot in (1, 1):  # another worker's restarts count by themselves
        (tmp_path / f"{slot} dies").touch()
        play(runner)
    (tmp_path / "0 raises").touch()
    with pytest.raises(RunFailedError, match=r"worker 0 failed: .*anew 2 times .*max_env_restarts=2") as caught:
        play(runner)
    assert "LookupError: a bug in the environment" in notes(caught)
    assert runner.env_restarts == 5
    runner.close()
    assert not workers()


def test_a_worker_that_cannot_be_started_anew_ends_the_run(unruly):
    runner = unruly("Sick", n=1)
    with pytest.raises(RunFailedError, match=r"worker 0 failed: LookupError: the package is sick; .*anew 5 times"):
        play(runner)
    runner.close()
    assert not workers()


def test_all_hanging_workers_together_take_one_timeout(unruly):
    runner = unruly("Stuck", n=3, env_timeout=8, max_losses_in_a_row=0, max_env_restarts=99)
    started = time.monotonic()
    with pytest.raises(RunFailedError, match="gave no answer"):
        play(runner)
    assert time.monotonic() - started < 2 * 8
    runner.close()
    assert not workers()


def test_a_mistake_of_the_user_arrives_as_one(unruly):
    with pytest.raises(UserError, match=r"^no such map$"):
        unruly("Misled")
    assert not workers()


@pytest.mark.parametrize("name", ["Hanging", "Deaf"])
def test_an_environment_that_does_not_close_is_ended(unruly, monkeypatch, name):
    monkeypatch.setattr("runners.parallel_runner.CLOSE_SECONDS", 0.5)
    runner = unruly(name)
    runner.close()
    assert not workers()


def test_an_environment_that_is_ended_in_the_middle_of_a_call_is_closed_all_the_same(unruly, tmp_path, monkeypatch):
    monkeypatch.setattr("runners.parallel_runner.CLOSE_SECONDS", 0.5)
    runner = unruly("Busy")
    for pipe in runner.pipes:
        pipe.send(("reset", 1))
    wait_until(lambda: len(list(tmp_path.glob("busy *"))) == 2)
    runner.close()
    assert not workers() and len(list(tmp_path.glob("closed *"))) == 2


@pytest.mark.parametrize("kind, n_processes", [(ParallelRunner, 2), (VectorRunner, 1)])
def test_closing_lets_environments_close(unruly, tmp_path, kind, n_processes):
    runner = unruly("Tidy", kind)
    runner.close()
    assert len(list(tmp_path.glob("closed *"))) == n_processes


PARENT = f"""
import sys, time
sys.path[:0] = [{str(SRC)!r}, {str(TESTS)!r}]
from runners.base_runner import Limits
from runners.parallel_runner import ParallelRunner
from utils.timing import PhaseClock
if __name__ == "__main__":
    runner = ParallelRunner({counting_env.PATH!r}, {ENV_ARGS!r}, 2, PhaseClock(), Limits(3, 60, 5))
    for pipe in runner.pipes:
        pipe.send(("reset", 1))  # answered, and never read
    print("ready", flush=True)
    sys.stdin.readline()
    raise RuntimeError("in the parent")
"""


@pytest.mark.parametrize("end", ["exception", "kill"])
def test_workers_end_with_a_parent_that_never_closed_them(tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with running("-W", "ignore", script) as parent:
        assert parent.stdout.readline() == "ready\n"
        assert len([pid for pid in group(parent.pid) if is_worker(pid)]) == 2
        if end == "kill":
            parent.kill()
            _, err = parent.communicate(timeout=WAIT)
            assert "Traceback" not in err
        else:
            _, err = parent.communicate("\n", timeout=WAIT)
            assert "RuntimeError: in the parent" in err and parent.returncode == 1
        wait_until(lambda: not group(parent.pid))


STUCK = PARENT.replace(repr(counting_env.PATH), "'unruly:Stuck'").replace('("reset", 1)', '("step", None)')


def test_a_worker_that_hangs_ends_with_a_parent_that_is_killed(unruly, tmp_path):
    (tmp_path / "parent.py").write_text(STUCK)
    with running("-W", "ignore", tmp_path / "parent.py") as parent:
        wait_until(lambda: len(list(tmp_path.glob("stuck *"))) == 2 or parent.poll() is not None)
        assert len([pid for pid in group(parent.pid) if is_worker(pid)]) == 2
        parent.kill()
        parent.communicate(timeout=WAIT)
        wait_until(lambda: not group(parent.pid))


PLAYING = f"""
import sys, time
sys.path[:0] = [{str(SRC)!r}, {str(TESTS)!r}]
if __name__ == "__main__":
    from test_workers import ENV_ARGS, LIMITS, Limits, ParallelRunner, PhaseClock, play
    runner = ParallelRunner("unruly:Slow", ENV_ARGS, 2, PhaseClock(), LIMITS)
    runner.limits = Limits(max_losses_in_a_row=0, env_timeout=0.3, max_env_restarts=0)
    print("ready", flush=True)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        play(runner)
    runner.close()
    print("played", flush=True)
"""


def test_a_program_that_was_stopped_for_longer_than_the_timeout_goes_on(unruly, tmp_path):
    (tmp_path / "parent.py").write_text(PLAYING)
    with running("-W", "ignore", tmp_path / "parent.py") as parent:
        assert parent.stdout.readline() == "ready\n"
        for _ in range(5):
            time.sleep(0.2)
            os.killpg(parent.pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.killpg(parent.pid, signal.SIGCONT)
        out, err = parent.communicate(timeout=WAIT)
    assert out == "played\n", err


def test_ctrl_c_in_a_parallel_run_exits_with_130_and_leaves_no_process(tmp_path):
    settings = ["runner=parallel", "batch_size_run=2", "t_max=1000000", "seed=1", "test_nepisode=2"]
    settings.append(f"local_results_path={tmp_path}")
    with running(SRC / "main.py", "--config=vdn", "--env-config=matrix_game", "with", *settings) as run:
        wait_until(lambda: list(tmp_path.glob("sacred/*/*/*/eval_episodes.csv")))
        assert len([pid for pid in group(run.pid) if is_worker(pid)]) == 2
        os.killpg(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=WAIT)
        assert run.returncode == 130
        assert "Traceback" not in err
        wait_until(lambda: not group(run.pid))
