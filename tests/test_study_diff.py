"""Why two runs disagree: what differs between their archives, whether it can matter, and where their figures part."""

import json
import shutil

import pytest
from tiny_runs import assert_refused, files, play, read

import study
from settings import Effect
from study_runs.diff import differences, first_parting


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run, and the same run made again."""
    folder = tmp_path_factory.mktemp("pair")
    return tuple(play("vdn", "lbf", folder / name, log_interval=log) for name, log in (("one", "50"), ("two", "70")))


@pytest.fixture
def runs(pair, tmp_path):
    """Copies of both whose code is known."""
    copies = [tmp_path / name / "1" for name in ("one", "two")]
    for run, copy in zip(pair, copies, strict=True):
        shutil.copytree(run, copy)
        change(copy, "info", commit="a" * 40)
    return copies


def change(folder, name, **fields):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_runs_that_differ_in_nothing_that_matters(runs, capsys):
    found = differences(*runs)
    assert {difference.what for difference in found} == {"local_results_path", "log_interval"}
    assert {difference.effect for difference in found} == {Effect.NOTHING}
    before = [files(run) for run in runs]
    assert study.main(["diff", *map(str, runs)]) == 0
    assert "their figures agree" in capsys.readouterr().out
    assert [files(run) for run in runs] == before


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("config", {"seed": 9}, ("seed", "seed", "1", "9", Effect.CHANGES)),
        ("config", {"lr": 0.5}, ("setting", "lr", "0.001", "0.5", Effect.CHANGES)),
        ("config", {"threads": 4}, ("setting", "threads", "1", "4", Effect.ROUNDING)),
        ("info", {"commit": "b" * 40 + "+changes"},
         ("code", "commit", "a" * 12, "b" * 12 + "+changes", Effect.CHANGES)),
        ("info", {"resumed": [{"t_env": 60, "commit": "c" * 40}]},
         ("code", "commit", "a" * 12, "a" * 12 + ", then " + "c" * 12, Effect.CHANGES)),
        ("info", {"resumed": [{"t_env": 60, "commit": "a" * 40}]},
         ("course", "resumed at step", "never", "60", Effect.NOTHING)),
        ("info", {"environment": {"lbforaging": "3.0.0"}},
         ("environment", "lbforaging", "2.0.0", "3.0.0", Effect.CHANGES)),
        ("info", {"environment": {}}, ("environment", "lbforaging", "2.0.0", "(not recorded)", Effect.CHANGES)),
        ("info", {"packages": {"torch": "0.1"}}, ("package", "torch", None, "0.1", Effect.ROUNDING)),
        ("info", {"packages": {"torch": {"py/newargs": {"py/tuple": ["0.1"]}}}},  # as older archives have it
         ("package", "torch", None, "0.1", Effect.ROUNDING)),
        ("run", {"status": "FAILED"}, ("course", "how it ended", "COMPLETED", "FAILED", Effect.CHANGES)),
        ("run", {"host": {"cpu": "abacus"}}, ("machine", "cpu", None, "abacus", Effect.ROUNDING)),
    ],
)  # fmt: skip
def test_every_kind_of_difference_is_told(name, fields, expected, runs, capsys):
    usual = {difference.what for difference in differences(*runs)}
    change(runs[1], name, **fields)
    found = [difference for difference in differences(*runs) if difference.what not in usual]
    (ours,) = (difference for difference in found if difference.what == expected[1])
    assert all(want in (None, got) for want, got in zip(expected, ours, strict=True))
    assert study_diff(runs) == (0 if expected[-1] is Effect.NOTHING else 1)
    out = capsys.readouterr().out
    assert expected[1] in out and expected[3][:20] in out and expected[-1].value in out


def study_diff(runs):
    try:
        return study.main(["diff", *map(str, runs)])
    except SystemExit as left:
        return left.code


def test_uncommitted_changes_may_be_other_changes(runs):
    for run in runs:
        change(run, "info", commit="a" * 40 + "+changes")
    (found,) = (difference for difference in differences(*runs) if difference.kind == "code")
    assert found.what == "uncommitted changes" and found.effect is Effect.CHANGES


def test_the_first_step_at_which_figures_part_is_told(runs, capsys):
    metrics = read(runs[1], "metrics.json")
    series = metrics["test_return_mean"]
    series["values"][1:] = [0.75] * len(series["values"][1:])
    metrics["epsilon"]["values"][-1] = 7.0  # later
    metrics["time_env"]["values"][0] = 9.0  # hangs on the machine
    change(runs[1], "metrics", **metrics)
    ours = read(runs[0], "metrics.json")["test_return_mean"]["values"][1]
    assert first_parting(*runs) == (series["steps"][1], "test_return_mean", ours, 0.75)
    assert study_diff(runs) == 0
    assert "nothing recorded explains it" in capsys.readouterr().out
    change(runs[1], "config", seed=9)
    assert study_diff(runs) == 1
    out = capsys.readouterr().out
    assert f"part at {series['steps'][1]} environment steps" in out and "nothing recorded" not in out


def test_what_an_archive_says_is_not_obeyed_by_the_terminal(runs, capsys):
    change(runs[1], "config", lr="\x1b[31m[bold]evil")
    assert study_diff(runs) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[bold]evil" in out


@pytest.mark.parametrize("name", ["metrics", "info", "run"])
def test_a_run_that_has_hardly_begun_can_be_compared(name, runs):
    (runs[1] / f"{name}.json").unlink()
    assert study_diff(runs) in (0, 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["diff", "{folder}", "nowhere"], "nowhere: no run here"),
        (["diff", "{folder}", "{folder}"], "same run"),
        (["diff", "{folder}"], "RUN_B"),
    ],
)
def test_a_mistake_is_one_line(words, says, pair, capsys):
    capsys.readouterr()
    assert_refused(lambda *argv: study.main(argv), pair[0], words, says, capsys)


@pytest.mark.parametrize("text", ["{", "[1]", "\udce4"])
def test_a_damaged_archive_is_one_line(text, runs, capsys):
    (runs[0] / "info.json").write_text(text, errors="surrogateescape")
    words = ["diff", "{folder}", str(runs[1])]
    assert_refused(lambda *argv: study.main(argv), runs[0], words, "info.json cannot be read", capsys)
