"""The runs of a study, each a process of `main.py`: skipped, begun, resumed and stopped, by what the archives say."""

import os
import re
import shutil
import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import running, wait_until
from test_resume import same_run
from tiny_runs import MAIN, TINY, has_trained, play, read

import study
from study_runs import asked
from study_runs.archives import Archives, State, lock_path, log_path
from utils import locks

STUDY = MAIN.with_name("study.py")
WAIT = 240  # seconds; each run begins with the import of Torch, which takes long on a busy machine
SETTINGS = {key: text for key, text in TINY.items() if key not in ("seed", "t_max")}
ENDLESS = {"t_max": 10_000_000, "save_model_interval": 1_000_000}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Play there, and end what a test that failed leaves: runs outlive their driver."""
    monkeypatch.chdir(tmp_path)
    yield
    for pid in left_running():
        os.kill(int(pid), signal.SIGKILL)


def write(algorithms="[vdn]", seeds="[1]", running="look_interval: 0.2, line_interval: 0.2", **settings):
    """Write the study t.yaml and return its path."""
    settings = {"t_max": 200, "absolute_factor": 1, **SETTINGS, **settings}
    Path("t.yaml").write_text(
        f"algorithms: {algorithms}\ntasks: [{{env_config: matrix_game, env_args.key: two_step}}]\nseeds: {seeds}\n"
        f"settings: {{{', '.join(f'{key}: {text}' for key, text in settings.items())}}}\n"
        f"running: {{cpus_per_run: 1, {running}}}\n"
    )
    return "t.yaml"


def folders():
    return sorted(path.parent for path in Path("results/studies/t").glob("sacred/*/*/*/config.json"))


def at_work(number=1):
    """Say whether so many runs have trained a while."""
    return sum(map(has_trained, folders())) >= number


def left_running():
    """Processes of runs of the study in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if str(Path.cwd()).encode() in path.read_bytes() else []
        except OSError:
            continue
    return found


def test_a_study_does_its_runs_as_main_does_and_the_second_time_nothing(capsys):
    path = write(seeds="[2]", algorithms="[vdn, mmsa]", running="jobs: 2")
    assert study.main(["run", path]) == 0
    assert capsys.readouterr().out.count("finished, test return") == 2
    whole = play("mmsa", "matrix_game", "whole", **{"env_args.key": "two_step"}, absolute_factor="1", seed="2")
    (ours,) = (folder for folder in folders() if folder.parent.name == "mmsa")
    same_run(whole, ours)
    before = {folder: (folder / "run.json").stat().st_mtime_ns for folder in folders()}
    assert len(before) == 2 and {read(folder, "run.json")["status"] for folder in before} == {"COMPLETED"}
    assert study.main(["run", path]) == 0
    assert {folder: (folder / "run.json").stat().st_mtime_ns for folder in folders()} == before
    assert study.main(["status", path]) == 0
    out = capsys.readouterr().out
    assert out.count("2 runs: 2 finished") == 2 and out.count("│ finished │") == 2 and "nobody does" in out
    # A study that asks for more goes on where it was.
    assert study.main(["run", write(algorithms="[vdn]", seeds="[2]", t_max=300)]) == 0
    assert "goes on in" in capsys.readouterr().out
    assert sorted(read(folder, "config.json")["t_max"] for folder in folders()) == [200, 300]
    # Other settings are other runs; what no run of the file matches is told.
    assert study.main(["status", write(algorithms="[vdn]", seeds="[1]", lr=0.01)]) == 0
    out = capsys.readouterr().out
    assert "1 waiting" in out and out.count("is of none of these runs") == 2


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stop_lets_the_runs_save_and_the_same_command_goes_on(signum, code):
    path = write(seeds="[1, 2, 3]", running="jobs: 2", **ENDLESS)
    with running(STUDY, "run", path) as driver:
        wait_until(lambda: at_work(2) or driver.poll() is not None, WAIT)
        driver.send_signal(signum)
        out, err = driver.communicate(timeout=WAIT)
    assert driver.returncode == code and "Traceback" not in err and out.count(": stopped") == 2
    assert not left_running()
    stopped = folders()
    assert len(stopped) == 2  # the third was not begun
    assert {read(folder, "run.json")["status"] for folder in stopped} == {"INTERRUPTED"}
    last = max(int(path.name[2:]) for folder in stopped for path in folder.glob("checkpoints/t_*"))
    assert last > 0
    assert study.main(["run", write(seeds="[1, 2]", **(ENDLESS | {"t_max": last + 200}))]) == 0
    assert folders() == stopped
    assert all(read(folder, "info.json")["resumed"][0]["t_env"] > 0 for folder in stopped)


def test_a_second_signal_ends_driver_and_runs_at_once():
    path = write(**(ENDLESS | {"test_nepisode": 1_000_000}))  # the first evaluation never ends
    log = log_path(asked.read(Path(path), {}).runs[0])
    with running(STUDY, "run", path) as driver:
        wait_until(lambda: folders() or driver.poll() is not None, WAIT)
        wait_until(_listens, WAIT)
        driver.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping: saves" in log.read_text(), WAIT)
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=WAIT)
    assert driver.returncode == 130 and not left_running()


def _listens():
    """Say whether the run's process catches SIGTERM, as it does from the beginning of its training on."""
    for pid in left_running():
        with suppress(OSError):  # a child that has ended meanwhile
            caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"main.py" in command and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
                return True
    return False


def test_a_driver_that_is_killed_leaves_its_runs_to_the_next_one():
    path = write(**ENDLESS)
    with running(STUDY, "run", path) as driver:
        wait_until(lambda: at_work() or driver.poll() is not None, WAIT)
        driver.kill()
        driver.wait()
    (pid,) = left_running()
    with running(STUDY, "run", path) as second:
        wait_until(lambda: locks.is_locked(asked.read(Path(path), {}).lock) or second.poll() is not None, WAIT)
        with running(STUDY, "run", path) as third:
            _, err = third.communicate(timeout=WAIT)
            assert third.returncode == 2 and err.count("\n") == 1 and "is being run already" in err
        assert left_running() == [pid] and len(folders()) == 1  # it waits, and begins nothing
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: left_running() not in ([], [pid]) or second.poll() is not None, WAIT)
        assert study.main(["stop", path]) == 0
        second.communicate(timeout=WAIT)
    assert second.returncode == 130 and not left_running()
    assert len(folders()) == 1


def test_stop_ends_what_a_killed_driver_has_left_and_says_when_there_is_nothing(capsys):
    path = write(**ENDLESS)
    assert study.main(["stop", path]) == 0
    assert "nothing of it is running" in capsys.readouterr().out
    with running(STUDY, "run", path) as driver:
        wait_until(lambda: at_work() or driver.poll() is not None, WAIT)
        driver.kill()
        driver.wait()
    assert study.main(["stop", path]) == 0
    assert not left_running() and read(folders()[0], "run.json")["status"] == "INTERRUPTED"


def test_a_run_that_is_killed_is_resumed_and_ends_as_it_would_have():
    path = write(t_max=1200, save_model_interval=100)
    with running(STUDY, "run", path) as driver:
        wait_until(lambda: list(Path().rglob("checkpoints/t_*")) or driver.poll() is not None, WAIT)
        (pid,) = left_running()
        os.kill(int(pid), signal.SIGKILL)
        out, _ = driver.communicate(timeout=WAIT)
    assert driver.returncode == 0 and "exit code -9" in out and "goes on in" in out
    whole = play("vdn", "matrix_game", "whole", **{"env_args.key": "two_step"}, absolute_factor="1", t_max="1200",
                 save_model_interval="100")  # fmt: skip
    same_run(whole, folders()[0])


def test_a_run_that_cannot_be_resumed_is_begun_anew(capsys):
    path = write()
    assert study.main(["run", path]) == 0
    (folder,) = folders()
    (folder / "run.json").write_text((folder / "run.json").read_text().replace("COMPLETED", "FAILED"))
    shutil.rmtree(folder / "replay")
    assert study.main(["run", path]) == 0
    assert "exit code 3: error: the replay" in capsys.readouterr().out
    assert [read(other, "run.json")["status"] for other in folders()] == ["FAILED", "COMPLETED"]


def test_a_run_that_fails_again_and_again_is_given_up_and_the_others_are_done(capsys):
    path = write(algorithms="[{config: vdn, checkpoint_path: nowhere}, iql]", running="max_retries: 5")
    assert study.main(["run", path]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: 1 of 2 runs were given up, two_step_vdn_seed1") and err.count("\n") == 1
    assert "nowhere" in err and out.count("two_step_vdn_seed1: begins") == 1  # no retry mends a mistake
    assert [folder.parent.name for folder in folders()] == ["iql"]


def test_where_a_run_stands_is_what_its_archive_says():
    (run,) = asked.read(Path(write()), {}).runs
    archives = Archives(asked.CONFIG_DIR)
    assert archives.standing(run).state is State.WAITING
    same = {"env_args.key": "two_step", "absolute_factor": "1"}
    play("vdn", "matrix_game", run.results, **same, save_model_interval="90")
    at = archives.standing(run)
    assert (at.state, at.t_env >= 200, at.test_return is not None) == (State.FINISHED, True, True)
    says = at.folder / "run.json"
    text = says.read_text()
    for status, state in {"INTERRUPTED": State.STOPPED, "FAILED": State.FAILED, "RUNNING": State.DIED}.items():
        says.write_text(text.replace("COMPLETED", status))
        assert archives.standing(run).state is state and not state.is_done
    for damaged in ("{", "[1]", ""):
        says.write_text(damaged)
        assert archives.standing(run).state is State.DIED
    with locks.take(lock_path(run)):
        assert archives.standing(run).state is State.RUNNING
    (at.folder / "config.json").write_text("[]")
    assert archives.standing(run).state is State.WAITING


def test_a_lock_belongs_to_one_and_is_told_by_whom(tmp_path):
    path = tmp_path / "a.lock"
    assert locks.holder(path) is None and not locks.is_locked(path)
    with locks.take(path) as lock:
        locks.sign(lock, 4711)
        assert locks.is_locked(path) and locks.holder(path).pid == 4711 and locks.is_here(locks.holder(path))
        assert locks.take(path) is None
    assert not locks.is_locked(path) and locks.holder(path) is None


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="no ray here: pip install -r requirements-ray.txt")


@needs_ray
def test_a_ray_cluster_does_the_same_runs():
    path = write(algorithms="[vdn, iql]")
    with running(STUDY, "run", path, "--ray", "local") as driver:
        out, err = driver.communicate(timeout=WAIT)
    assert driver.returncode == 0, err
    assert out.count("finished, test return") == 2
    whole = play("iql", "matrix_game", "whole", **{"env_args.key": "two_step"}, absolute_factor="1")
    (ours,) = (folder for folder in folders() if folder.parent.name == "iql")
    same_run(whole, ours)


@needs_ray
@pytest.mark.slow
def test_a_stop_reaches_the_runs_on_a_ray_cluster():
    path = write(**ENDLESS)
    with running(STUDY, "run", path, "--ray", "local") as driver:
        wait_until(lambda: at_work() or driver.poll() is not None, WAIT)
        driver.send_signal(signal.SIGINT)
        _, err = driver.communicate(timeout=WAIT)
    assert driver.returncode == 130 and "Traceback" not in err
    assert read(folders()[0], "run.json")["status"] == "INTERRUPTED" and not left_running()
    assert list(folders()[0].glob("checkpoints/t_*"))


@needs_ray
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ray", "127.0.0.1:1"], "no cluster there"),
        (["--ray", "127.0.0.1:one"], "no cluster there"),
        (["--ray", "auto"], "no cluster there"),
        (["--ray", "local", "--jobs", "2"], "--jobs"),
    ],
)
def test_a_mistake_with_ray_is_one_line(words, says):
    with running(STUDY, "run", write(), *words) as driver:
        _, err = driver.communicate(timeout=WAIT)
    assert driver.returncode == 2 and says in err and err.count("\n") == 1 and not folders()
