"""Curves and tables of archived runs."""

import json

import matplotlib.image
import numpy as np
import pytest

import main
import plot
from comparison import mean_curves
from comparison.line_styles import style_of
from comparison.series import Series, aligned
from plot import differing, find_runs
from settings import ALGS, config_names
from utils.errors import UserError

METRIC = "test_return_mean"


def archive(root, task, alg, number, seed=1, steps=(0, 100, 200), values=(0.0, 0.5, 1.0), **config):
    """Write the three files of a run that took 90 seconds."""
    folder = root / "sacred" / task / alg / str(number)
    folder.mkdir(parents=True)
    config = {"name": alg, "seed": seed, "evaluate": False, "lr": 0.001} | config
    (folder / "config.json").write_text(json.dumps(config))
    metrics = {METRIC: {"steps": list(steps), "values": list(values)}} if steps else {}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    status = {"start_time": "2026-01-01T10:00:00.5", "stop_time": "2026-01-01T10:01:30.5", "heartbeat": "unread"}
    (folder / "run.json").write_text(json.dumps(status))
    return folder


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def results(tmp_path):
    """Two tasks; on the first, two algorithms of which one has two seeds."""
    root = tmp_path / "results"
    archive(root, "hard", "mmsa", 1, seed=1)
    archive(root, "hard", "mmsa", 2, seed=2, values=(0.0, 0.1, 0.2))
    archive(root, "hard", "qmix", 1, seed=1, values=(0.0, 0.0, 0.1))
    archive(root, "easy", "qmix", 1, seed=7)
    return root


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn."""
    drawn, draw = [], mean_curves.draw
    monkeypatch.setattr(mean_curves, "draw", lambda tasks: drawn.append(draw(tasks)) or drawn[-1])
    return drawn


def run(*argv):
    return plot.main([str(word) for word in argv])


def test_there_is_a_panel_per_task_and_a_line_per_algorithm(results, figures, capsys):
    assert run(results, "--out", "a.png") == 0
    panels = {panel.get_title(): panel for panel in figures[0].axes}
    assert list(panels) == ["easy", "hard"]
    labels = {task: [text.get_text() for text in panel.get_legend().texts] for task, panel in panels.items()}
    assert labels == {"easy": ["qmix (1 seed)"], "hard": ["mmsa (2 seeds)", "qmix (1 seed)"]}
    assert panels["hard"].get_xlabel() == "environment steps"
    mmsa, qmix = panels["hard"].lines
    assert mmsa.get_xydata().tolist() == [[0, 0.0], [100, pytest.approx(0.3)], [200, pytest.approx(0.6)]]
    assert qmix.get_ydata().tolist() == [0.0, 0.0, 0.1]
    assert capsys.readouterr().out == "a.png\n"


def test_several_seeds_are_shaded_from_the_least_to_the_greatest(results, figures):
    assert run(results) == 0
    easy, hard = figures[0].axes
    assert not easy.collections and len(hard.collections) == 1
    corners = hard.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners.tolist()} >= {(100, 0.1), (100, 0.5), (200, 0.2), (200, 1.0)}


def test_the_picture_is_a_png_and_its_path_is_printed_last(results, capsys):
    assert run(results, "--table") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "curve.png"
    picture = matplotlib.image.imread("curve.png")
    assert picture.shape[0] > 300 and picture.shape[1] > 900 and len(np.unique(picture[..., :3])) > 10


def test_an_algorithm_has_the_same_colour_in_every_picture(results, figures):
    run(results)
    run(results / "sacred" / "hard" / "qmix")
    both, alone = figures
    assert both.axes[1].lines[1].get_color() == alone.axes[0].lines[0].get_color() == style_of("qmix").colour
    styles = {style_of(name) for name in config_names(main.CONFIG_DIR, ALGS)}
    assert len(styles) == len(config_names(main.CONFIG_DIR, ALGS))
    methods = [style_of(name) for name in config_names(main.CONFIG_DIR, ALGS) if "_" not in name]
    assert len({(style.colour, style.line) for style in methods}) == len(methods)  # markers are small


def test_runs_are_found_in_any_folder_above_and_counted_once(results):
    first = results / "sacred" / "hard" / "mmsa" / "1"
    assert [run.folder for run in find_runs([str(first)])] == [first]
    assert len(find_runs([str(results)])) == 4
    assert len(find_runs([str(results), str(first), f"{results}/../results/sacred/hard"])) == 4


def test_runs_that_only_evaluate_or_have_logged_nothing_yet_are_left_out(results, capsys):
    archive(results, "hard", "mmsa", 3, evaluate=True)
    archive(results, "hard", "mmsa", 4, steps=())
    assert len(find_runs([str(results)])) == 4
    assert run(results / "sacred" / "hard" / "mmsa" / "4") == 2
    assert "logged something" in capsys.readouterr().err


def test_runs_evaluated_at_other_steps_are_interpolated_where_all_have_data():
    a = Series(np.array([0, 100, 200]), np.array([0.0, 1.0, 2.0]))
    b = Series(np.array([50, 150, 250]), np.array([10.0, 20.0, 30.0]))
    steps, values = aligned([a, b])
    assert steps.tolist() == [50, 100, 150, 200]
    assert values.tolist() == [[0.5, 1.0, 1.5, 2.0], [10.0, 15.0, 20.0, 25.0]]


def test_the_table_has_a_row_per_run(results, capsys):
    assert run(results, "--table") == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert rows[0] == "| task | algorithm | seed | steps | minutes | final test return | mean of last three |"
    assert rows[2:] == [
        "| easy | qmix | 7 | 200 | 1.5 | 1.000 | 0.500 |",
        "| hard | mmsa | 1 | 200 | 1.5 | 1.000 | 0.500 |",
        "| hard | mmsa | 2 | 200 | 1.5 | 0.200 | 0.100 |",
        "| hard | qmix | 1 | 200 | 1.5 | 0.100 | 0.033 |",
    ]


def test_the_table_can_tell_of_earlier_steps(tmp_path, capsys):
    archive(tmp_path, "hard", "mmsa", 1, steps=(0, 100, 200, 300), values=(0.0, 0.3, 0.6, 0.9))
    assert run(tmp_path, "--table", "--at", 90, 260, 400) == 0
    head, _, row, _ = capsys.readouterr().out.splitlines()
    assert "| minutes | near 90 | near 260 | near 400 | final" in head
    assert "| 1.5 | 0.300 | 0.600 | – | 0.900 |" in row


def test_runs_on_one_line_with_other_settings_are_named(results, capsys):
    archive(results, "hard", "mmsa", 3, seed=3, lr=0.01, local_results_path="elsewhere")
    assert run(results) == 0
    assert "note: runs of mmsa on hard share a line and differ in lr\n" in capsys.readouterr().out
    assert differing(find_runs([str(results / "sacred" / "hard" / "qmix")])) == []


def damaged(results, name, text):
    folder = archive(results, "hard", "vdn", 1)
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda results: ["nowhere"], "nowhere: no run here"),
        (lambda results: [results.parent / "results" / "sacred" / "none"], "no run here"),
        (lambda results: [results, "--metric", "test_retrun_mean"], METRIC),
        (lambda results: [results, "--out", "no/such/folder.png"], "cannot be written"),
        (lambda results: [results, "--out", "curve.exe"], "cannot be written"),
        (lambda results: [results, "--colour"], "--colour"),
        (lambda results: [], "FOLDER"),
        (lambda results: [damaged(results, "metrics.json", '{"a":')], "cannot be read"),
        (lambda results: [damaged(results, "config.json", "{}")], "lacks evaluate, name, seed"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(results, make, said, capsys):
    assert run(*make(results)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err and not out


def test_seeds_without_common_steps_are_refused(tmp_path):
    with pytest.raises(UserError, match="no overlap"):
        aligned([Series(np.array([0, 1]), np.zeros(2)), Series(np.array([5, 6]), np.zeros(2))])


def test_a_real_run_can_be_drawn(tmp_path, capsys):
    settings = ["t_max=60", "test_interval=20", "test_nepisode=1", "batch_size=4", "buffer_size=8", "seed=1"]
    assert main.main(["--config=mappo", "--env-config=matrix_game", "with", *settings]) == 0
    capsys.readouterr()
    assert run("results", "--table") == 0
    assert "| one_step | mappo | 1 | 64 |" in capsys.readouterr().out
    assert (tmp_path / "curve.png").stat().st_size > 10_000
