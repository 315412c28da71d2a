"""The driver's rules: what is begun, what again, what not any more. Here processes do as they are told."""

import shutil
import time
from pathlib import Path

import pytest
from test_study_runs import write
from tiny_runs import play

from study_runs import asked, driver
from study_runs.archives import Archives, State, lock_path, log_path
from study_runs.driver import Driver
from study_runs.local import LocalTask
from study_runs.process import TAKEN, Work
from utils import locks
from utils.exits import MISTAKE, PASSING, UNREADABLE


class Task:
    """Ends with a code when it is looked at for the second time."""

    def __init__(self, code):
        self.code, self.looks = code, 0

    def poll(self):
        self.looks += 1
        return self.code if self.looks > 1 else None

    def interrupt(self):
        pass

    kill = interrupt


class Place:
    """Gives every run the next of its exit codes, or what a function returns, and writes down what it was to do."""

    def __init__(self, codes, slots=1):
        self.codes, self.slots, self.at_once = codes, slots, slots
        self.words, self.tasks, self.most = [], [], 0

    def start(self, work):
        work.log.parent.mkdir(parents=True, exist_ok=True)
        work.log.write_text("first\nthe last line\n")
        self.words.append(work.words)
        code = self.codes.pop(0)
        self.tasks.append(Task(code() if callable(code) else code))
        self.most = max(self.most, sum(task.looks < 2 for task in self.tasks))
        return self.tasks[-1]


class View:
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)

    def show(self, standings, gave_up, last):
        self.last = (standings, gave_up, last)


@pytest.fixture(autouse=True)
def quickly_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "TICK", 0.001)


def drive(path, codes, slots=1):
    """Return the driver, its place and its view after all is done; `cpus_per_run` is 3."""
    study = asked.read(Path(path), {})
    place, view = Place(list(codes), slots), View()
    ours = Driver(study.runs, Archives(asked.CONFIG_DIR), place, view, study.running | {"cpus_per_run": 3})
    ours.work()
    assert not place.codes and view.last[1:] == (ours.gave_up, True)
    return ours, place, view


def test_a_run_that_fails_is_taken_up_again_until_the_limit():
    ours, place, view = drive(write(running="max_retries: 2"), [1, -9, 1])
    assert len(place.words) == 3 and view.said.count("two_step_vdn_seed1: begins") == 3
    (run,) = ours.runs
    assert ours.gave_up == {run.name: f"exit code 1: the last line (see {log_path(run)})"}


def test_what_main_refuses_is_not_tried_again():
    ours, place, _ = drive(write(seeds="[1, 2]", running="max_retries: 9"), [2, 2])
    assert len(place.words) == 2 and len(ours.gave_up) == 2


def test_an_exit_code_of_0_without_a_finished_archive_is_a_failure():
    ours, _, _ = drive(write(running="max_retries: 0"), [0])
    assert len(ours.gave_up) == 1


def test_waiting_for_another_process_is_no_failure():
    ours, place, _ = drive(write(running="max_retries: 0"), [TAKEN, TAKEN, TAKEN, 1])
    assert len(place.words) == 4 and len(ours.gave_up) == 1


def test_no_more_runs_at_once_than_there_are_slots():
    _, place, _ = drive(write(seeds="[1, 2, 3, 4, 5]", running="max_retries: 0"), [1] * 5, slots=2)
    assert place.most == 2


def test_every_run_gets_its_threads_and_begins_with_the_settings_of_the_study():
    ours, place, _ = drive(write(), [2])
    assert place.words == [[*ours.runs[0].words(), "threads=3"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the study, for copies."""
    folder = tmp_path_factory.mktemp("finished")
    return play("vdn", "matrix_game", folder, **{"env_args.key": "two_step"}, absolute_factor="1")


def begun(finished, **settings):
    """Write a study, one of whose runs has begun, and return that run's folder."""
    (run,) = asked.read(Path(write(**settings)), {}).runs
    folder = run.results / finished.relative_to(finished.parents[3])
    shutil.copytree(finished, folder)
    return folder


def test_a_run_with_an_archive_goes_on_in_it_and_anew_once_it_cannot(finished):
    folder = begun(finished, t_max=400, running="max_retries: 2")
    ours, place, _ = drive("t.yaml", [1, UNREADABLE, 1])
    resume = [f"resume={folder}", "with", "t_max=400", "threads=3"]
    assert place.words == [resume, resume, [*ours.runs[0].words(), "threads=3"]]
    assert len(ours.gave_up) == 1


def test_a_run_that_diverges_is_done_and_not_tried_again(finished):
    folder = begun(finished, t_max=400, running="max_retries: 9")
    says = folder / "run.json"
    says.write_text(says.read_text().replace("COMPLETED", "FAILED"))

    def diverges():
        (folder / "info.json").write_text('{"diverged": {"t_env": 200}}')
        return 1

    ours, place, view = drive("t.yaml", [diverges])
    (run,) = ours.runs
    assert len(place.words) == 1 and not ours.gave_up and view.last[0][run.name].state is State.DIVERGED
    assert view.said[-1] == f"{run.name}: diverged, which is a result; the last line (see {log_path(run)})"
    ours, place, _ = drive("t.yaml", [])
    assert not place.words and not ours.gave_up


def test_a_mistake_spoils_no_folder_and_is_not_tried_again(finished):
    folder = begun(finished, t_max=400, running="max_retries: 9, other_commit: true")
    ours, place, _ = drive("t.yaml", [MISTAKE])
    assert place.words == [[f"resume={folder}", "with", "t_max=400", "threads=3", "other_commit=true"]]
    assert len(ours.gave_up) == 1 and not ours._spoilt


def test_trouble_that_may_pass_is_waited_for_longer_each_time_and_not_for_ever(finished):
    folder = begun(finished, t_max=400, running="max_retries: 0, max_waits: 3, pause: 0.02")
    began = time.monotonic()
    ours, place, view = drive("t.yaml", [PASSING] * 4)
    assert time.monotonic() - began > 0.02 + 0.04 + 0.08
    assert [words[0] for words in place.words] == [f"resume={folder}"] * 4
    told = [line for line in view.said if "may pass" in line]
    assert [line[line.index("(") : line.index(" s:")] for line in told] == [
        "(1 of 3), goes on in 0.02", "(2 of 3), goes on in 0.04", "(3 of 3), goes on in 0.08",
    ]  # fmt: skip
    assert list(ours.gave_up.values()) == [f"trouble that did not pass: the last line (see {log_path(ours.runs[0])})"]


def test_while_one_run_waits_for_trouble_to_pass_others_have_its_place():
    _, _, view = drive(write(seeds="[1, 2]", running="max_waits: 1, pause: 0.1"), [PASSING, MISTAKE, MISTAKE])
    begun = [line.split(":")[0][-1] for line in view.said if line.endswith("begins")]
    assert begun == ["1", "2", "1"]


def test_a_run_that_somebody_works_at_by_hand_is_running_and_is_waited_for(finished):
    folder = begun(finished, t_max=400)
    (run,) = asked.read(Path("t.yaml"), {}).runs
    assert Archives(asked.CONFIG_DIR).standing(run).state is not State.RUNNING
    work = Work([], Path.cwd(), 1, lock_path(run), log_path(run), folder)
    with locks.holding(folder):
        assert Archives(asked.CONFIG_DIR).standing(run).state is State.RUNNING
        waiting = LocalTask(work)
        assert waiting.poll() is None
        _, place, view = drive("t.yaml", [PASSING, MISTAKE])  # main.py found it taken: that is no failure
        assert "another process works at it" in view.said[0] and len(place.words) == 2
    assert waiting.poll() == TAKEN


def test_what_is_finished_is_left_alone():
    (run,) = asked.read(Path(write()), {}).runs
    play("vdn", "matrix_game", run.results, **{"env_args.key": "two_step"}, absolute_factor="1")
    ours, place, _ = drive("t.yaml", [])
    assert not place.words and not ours.gave_up


def test_runs_that_another_process_works_at_take_their_places_first():
    runs = asked.read(Path(write(seeds="[1, 2]", running="max_retries: 0")), {}).runs
    with locks.take(lock_path(runs[1])):
        _, place, view = drive("t.yaml", [1, 1])
    assert [words[-2] for words in place.words] == [f"local_results_path={runs[0].results}"] * 2
    assert "seed2: another process works at it" in view.said[0] and "seed1: begins" in view.said[2]
