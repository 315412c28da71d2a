"""What is shown of a study: one row per run, how long it will take, and nothing cut that matters."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from study_runs.archives import Standing, State
from study_runs.views import described, summary, table


def run(name, algorithm="vdn", variant=None, t_max=1000):
    return SimpleNamespace(name=name, task="[red]task", algorithm=algorithm, variant=variant, seed=3, t_max=t_max)


def drawn(runs, standings, gave_up=(), rows=None):
    console = Console(file=io.StringIO(), width=140)
    console.print(table(runs, standings, dict(gave_up), 2, rows))
    return console.file.getvalue()


AT = {
    "a": Standing(State.RUNNING, Path("a"), 250, 5.0, 0.125),
    "b": Standing(State.FINISHED, Path("b"), 1004, 10.0, 0.9),
    "c": Standing(State.WAITING),
    "d": Standing(State.FAILED, Path("d"), 500, None, None),
}
RUNS = [run("a"), run("b", "qmix"), run("c", "mmsa"), run("d")]


def test_a_row_says_progress_speed_return_and_time_left():
    lines = drawn(RUNS, AT, {"d": "why"}).splitlines()
    (row,) = (line for line in lines if "running" in line and "vdn" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "[red]task", "vdn", "3", "running", "250", "25%", "5", "0.125", "2 min",
    ]  # fmt: skip
    assert any("100%" in line and "1,004" in line for line in lines)
    assert any("given up" in line and "50%" in line for line in lines)
    assert "variant" not in lines[1] and "variant" in drawn([run("a", variant="slow")], AT)


def test_the_time_for_all_takes_each_algorithm_at_its_own_speed():
    # a has 750 steps left at 5 per second, c 1000 at the mean of all, (5 + 10) / 2; two at once.
    seconds = (750 / 5 + 1000 / 7.5) / 2
    said = summary(RUNS, AT, {"d": "why"}, 2)
    assert said == f"4 runs: 1 running, 1 finished, 1 waiting, 1 given up; about {described(seconds)} left"
    assert "left" not in summary(RUNS[1:2], AT, {}, 2)
    assert "left" not in summary(RUNS[2:3], AT, {}, 2)


def test_what_diverged_takes_no_more_time():
    assert "left" not in summary(RUNS[1:2], {"b": Standing(State.DIVERGED, Path("b"), 500, 10.0)}, {}, 2)


def test_of_too_many_runs_those_that_move_are_shown():
    shown = drawn(RUNS[1:3] + RUNS[:1], AT, rows=1)
    assert "running" in shown and "waiting" not in shown.split("runs:")[0]
    assert "1 waiting" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (20, "0 min"), (125, "2 min"), (7500, "2 h 05 min"), (100 * 3600, "4 d 4 h"), (3599, "1 h 00 min")],
)
def test_times_are_told_as_people_tell_them(seconds, text):
    assert described(seconds) == text
