"""Export to marl-eval's JSON."""

import json
from importlib.util import find_spec

import pytest
from made_archives import TASK, archive, study, write_episodes
from tiny_runs import csv_rows, play, read

import study as program


def export(root, *options):
    out = root / "runs.json"
    assert program.main(["export", str(root), "--out", str(out), *options]) == 0
    return json.loads(out.read_text())


def test_every_evaluation_episode_is_there(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 7, values=(0.0, 0.25))
    write_episodes(folder / "absolute_episodes.csv", [200], [0.5], 40)
    assert export(tmp_path) == {"lbf": {TASK: {"qmix": {"seed_7": {
        "step_0": {"step_count": 0, "return": [0.0] * 4},
        "step_1": {"step_count": 200, "return": [0.25] * 4},
        "absolute_metrics": {"return": [0.5] * 40},
    }}}}}  # fmt: skip


def test_the_means_of_the_episodes_are_those_of_the_archive(tmp_path):
    folder = play("qmix", "lbf", tmp_path)
    ((run,),) = (
        [run for run in algorithms["qmix"].values()] for algorithms in export(tmp_path)["lbf"].values()
    )  # fmt: skip
    series = read(folder, "metrics.json")["test_return_mean"]
    assert [step["step_count"] for step in run.values()] == series["steps"]
    assert [sum(step["return"]) / 3 for step in run.values()] == pytest.approx(series["values"])
    assert "win_rate" not in run["step_0"] and len(csv_rows(folder)) == 3 * len(run)


def test_runs_without_the_absolute_metric_are_told(tmp_path, capsys):
    archive(tmp_path, "qmix", 1, 1)
    write_episodes(archive(tmp_path, "qmix", 2, 2) / "absolute_episodes.csv", [200], [0.5], 40)
    export(tmp_path)
    assert "note: 1 runs have no absolute metric" in capsys.readouterr().out


def test_battles_have_win_rates(tmp_path):
    folder = archive(tmp_path, "qmix", 1, 1, values=(0.0, 1.0))
    text = (folder / "eval_episodes.csv").read_text().splitlines()
    (folder / "eval_episodes.csv").write_text("\n".join([text[0], *(line + "1" for line in text[1:])]))
    assert export(tmp_path)["lbf"][TASK]["qmix"]["seed_1"]["step_1"]["win_rate"] == [1.0] * 4


def test_algorithms_have_names_without_commas(tmp_path):
    archive(tmp_path, "qmix", 1, 1, gamma=0.9)
    archive(tmp_path, "qmix", 2, 1, lr=0.1)
    names = list(export(tmp_path)["lbf"][TASK])
    assert len(set(names)) == 2 and not any("," in name for name in names)


@pytest.mark.parametrize("text", ["t_env,return\n1,2\n", "t_env,return,won\nx,1,\n", "t_env,return,won\n1,\n"])
def test_a_damaged_list_of_episodes_is_one_line_and_leaves_no_file(tmp_path, text, capsys):
    folder = archive(tmp_path, "qmix", 1, 1)
    (folder / "eval_episodes.csv").write_text(text)
    out = tmp_path / "runs.json"
    assert program.main(["export", str(tmp_path), "--out", str(out)]) == 2
    assert "eval_episodes.csv cannot be read" in capsys.readouterr().err and not out.exists()


def test_a_list_that_ends_too_soon_is_one_line(tmp_path, capsys):
    folder = archive(tmp_path, "qmix", 1, 1)
    for lines in (5, 1, 0):
        text = (folder / "eval_episodes.csv").read_text().splitlines(keepends=True)[:lines]
        (folder / "eval_episodes.csv").write_text("".join(text))
        assert program.main(["export", str(tmp_path), "--out", str(tmp_path / "runs.json")]) == 2
        assert "holds other evaluations than metrics.json" in capsys.readouterr().err


@pytest.mark.skipif(
    find_spec("marl_eval") is None,
    reason="no marl-eval: pip install --no-deps id-marl-eval==0.0.4 colorama colorcet importlib-metadata",
)
def test_marl_eval_reads_it(tmp_path):
    from marl_eval.utils.data_processing_utils import create_matrices_for_rliable, data_process_pipeline

    study(tmp_path, algs=("mmsa", "qmix"), seeds=3)
    for path in tmp_path.rglob("eval_episodes.csv"):
        write_episodes(path.with_name("absolute_episodes.csv"), [100_000], [0.5], 40)
    processed = data_process_pipeline(raw_data=export(tmp_path), metrics_to_normalize=["return"])
    matrices, _ = create_matrices_for_rliable(processed, "lbf", metrics_to_normalize=["return"])
    assert {matrix.shape for matrix in matrices["mean_norm_return"].values()} == {(3, 1)}
