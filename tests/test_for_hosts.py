"""Scripts made for PyMARL and EPyMARL find in our archives what they look for, and we read past it."""

import json
import shutil

import pytest
from made_archives import archive, write
from tiny_runs import play, read, settings_of

import main
from comparison.archives import read_runs
from comparison.pooling import Choice, pool
from settings import archived, flat, resolve, resumed_settings
from study_runs.diff import differences
from training.told_to_scripts import as_lists, keeper, without_lists

WORDS = {"common_reward": True, "reward_scalarisation": "sum"}


def series(steps, values):
    return {"steps": steps, "values": values, "timestamps": [""] * len(steps)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run in one go, and the same in two parts; the first part had a figure that its checkpoint lacks."""
    root = tmp_path_factory.mktemp("runs")
    whole = play("qmix", "matrix_game", root / "whole", t_max="120")
    parts = play("qmix", "matrix_game", root / "parts", t_max="60")
    write(parts, "info.json", read(parts, "info.json") | {"test_gone": [1.0], "test_gone_T": [60]})
    assert main.main([f"resume={parts}", "with", "t_max=120"]) == 0
    return whole, parts


def test_info_json_holds_figures_as_pymarl_does(runs):
    for folder in runs:
        info, metrics = read(folder, "info.json"), read(folder, "metrics.json")
        names = {name for name in metrics if name.startswith("test_")}
        names |= {name for name in metrics if f"test_{name}" in metrics}
        assert {"test_return_mean", "test_return_std", "return_mean", "ep_length_mean"} <= names
        assert {key for key in info if key.endswith("_T")} == {f"{name}_T" for name in names}
        for name in names:
            assert info[name] == metrics[name]["values"] and info[f"{name}_T"] == metrics[name]["steps"]
        assert len(info["test_return_mean"]) > 2 and len(info["commit"]) >= 40
    assert read(runs[0], "info.json")["test_return_mean"] == read(runs[1], "info.json")["test_return_mean"]


def test_a_later_start_says_nothing_of_figures(runs):
    (start,) = read(runs[1], "info.json")["resumed"]
    assert not [key for key in start if key.endswith("_T")] and start["t_env"] >= 60


def test_config_json_has_epymarl_s_words_at_its_top_and_we_read_past_them(runs):
    config = read(runs[0], "config.json")
    assert config.items() >= WORDS.items()
    resolved = resolve("qmix", "matrix_game", settings_of("matrix_game"), main.CONFIG_DIR)
    again = resumed_settings(runs[0], {}, main.CONFIG_DIR)
    assert again.keys() == resolved.keys() and not again.keys() & WORDS.keys()
    own = resolve("iql", "lbf", {"env_args.common_reward": "false"}, main.CONFIG_DIR)
    assert archived(own).items() >= {"common_reward": False, "reward_scalarisation": "sum"}.items()
    assert flat(archived(own)) == flat(own) and flat(own)["env_args.common_reward"] is False
    mean = resolve("iql", "gymma", {"env_args.reward_scalarisation": "mean"}, main.CONFIG_DIR)
    assert archived(mean)["reward_scalarisation"] == "mean"


def test_an_archive_from_before_them_is_the_same_run(runs, tmp_path):
    older = shutil.copytree(runs[0], tmp_path / "older")
    config = {key: value for key, value in read(older, "config.json").items() if key not in WORDS}
    (older / "config.json").write_text(json.dumps(config))
    assert not [found for found in differences(runs[0], older) if found.kind == "setting"]
    archive(tmp_path, "qmix", 1, 1)
    archive(tmp_path, "qmix", 2, 2, **WORDS)
    (group,) = pool(read_runs([tmp_path / "sacred"]), Choice()).groups
    assert [len(line.members) for line in group.lines] == [2]


def test_which_figures_are_told_and_what_else_is_left():
    history = {"test_x": series([0, 9], [1.0, 2.0]), "x": series([9], [3.0]), "loss": series([9], [4.0])}
    lists = as_lists(history)
    assert lists == {"test_x": [1.0, 2.0], "test_x_T": [0, 9], "x": [3.0], "x_T": [9]}
    lists["test_x"].append(5.0)
    assert history["test_x"]["values"] == [1.0, 2.0]
    said = {"commit": "a", "resumed": []}
    assert without_lists(lists | said) == said


def test_a_sink_keeps_them_in_a_new_mapping_for_a_new_name():
    class Run:
        info = {"x": "a word of ours", "commit": "a"}  # noqa: RUF012

    before, keep = Run.info, keeper(Run)
    for name, value, t in (("loss", 1.0, 1), ("x", 2.0, 1), ("test_y", 3.0, 2), ("y", 4.0, 3), ("test_y", 5.0, 4)):
        keep(name, value, t)
    assert Run.info == before | {"test_y": [3.0, 5.0], "test_y_T": [2, 4], "y": [4.0], "y_T": [3]}
    assert before == {"x": "a word of ours", "commit": "a"}
