"""The parallel runner's processes: errors come out of them, and they end with the run, however it ends."""

import os
import signal
from pathlib import Path
from threading import Timer

import counting_env
import numpy as np
import pytest
import torch as th
from processes import WAIT, group, is_worker, running, wait_until, workers

from runners.parallel_runner import ParallelRunner
from runners.vector_runner import VectorRunner
from utils.errors import RunFailedError, UserError
from utils.timing import PhaseClock

TESTS = Path(__file__).parent
SRC = TESTS.parent / "src"
ENV_ARGS = {"n_agents": 3, "n_actions": 5, "episode_limit": 6}
MAX_LOSSES = 2


class Taking:
    """A controller that takes the first action that is available, or the first that is not."""

    def __init__(self, available):
        self.available = available

    def init_hidden(self, n):
        return th.zeros(n, 1)

    def select_actions(self, batch, t, hidden, epsilon, draws, bs):
        return (batch.array("avail_actions")[bs, t] == self.available).argmax(axis=-1), hidden


def make_runner(n_workers, env_args=ENV_ARGS):
    return ParallelRunner(counting_env.PATH, env_args, n_workers, PhaseClock(), MAX_LOSSES)


def play(runner, available=True):
    streams = [(seed, np.random.default_rng(seed)) for seed in range(runner.batch_size)]
    return runner.run(Taking(available), streams, epsilon=0.0)


@pytest.fixture
def three():
    """A runner with three workers."""
    runner = make_runner(3)
    yield runner
    runner.close()


def test_an_error_in_a_worker_arrives_with_its_traceback_and_no_process_stays():
    runner = make_runner(2)
    assert len(workers()) == 2
    with pytest.raises(RuntimeError, match="worker 0 failed:") as caught:
        play(runner, available=False)
    assert "Traceback" in str(caught.value) and "counting_env.py" in str(caught.value)
    assert "ValueError" in str(caught.value) and "are not all available" in str(caught.value)
    runner.close()
    assert not workers()


def test_an_error_while_a_worker_is_built_leaves_no_process():
    with pytest.raises(RuntimeError, match=r"(?s)worker 0 failed:.*Traceback.*episode_limit"):
        make_runner(2, {"n_agents": 3, "n_actions": 5})
    assert not workers()


@pytest.mark.parametrize("at", ["receiving", "sending"])
def test_a_worker_that_is_killed_is_replaced_and_no_process_stays(three, at):
    expected = play(three)[0].storage
    worker = three.workers[2]
    os.kill(worker.pid, signal.SIGSTOP if at == "receiving" else signal.SIGKILL)
    if at == "receiving":
        Timer(0.3, worker.kill).start()  # a message waits for it and is never read
    else:
        worker.join()
    assert th.equal(play(three)[0].storage, expected)
    assert three.get_stats() == {"episodes_lost": 1.0}
    assert len(workers()) == 3
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

    def make(name, kind=ParallelRunner):
        made.append(kind(f"unruly:{name}", ENV_ARGS, 2, PhaseClock(), MAX_LOSSES))
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


def test_a_mistake_of_the_user_arrives_as_one(unruly):
    with pytest.raises(UserError, match=r"^no such map$"):
        unruly("Misled")
    assert not workers()


@pytest.mark.parametrize("name", ["Hanging", "Deaf"])
def test_an_environment_that_does_not_close_is_ended(unruly, monkeypatch, name):
    monkeypatch.setattr("runners.parallel_runner.JOIN_SECONDS", 0.5)
    runner = unruly(name)
    runner.close()
    assert not workers()


def test_an_environment_that_is_ended_in_the_middle_of_a_call_is_closed_all_the_same(unruly, tmp_path, monkeypatch):
    monkeypatch.setattr("runners.parallel_runner.JOIN_SECONDS", 0.5)
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
from runners.parallel_runner import ParallelRunner
from utils.timing import PhaseClock
if __name__ == "__main__":
    runner = ParallelRunner({counting_env.PATH!r}, {ENV_ARGS!r}, 2, PhaseClock(), 3)
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
