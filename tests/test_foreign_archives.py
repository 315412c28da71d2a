"""Archives of PyMARL2 and EPyMARL beside ours: read as data, labelled, warned of, never judged.

`foreign/` holds what one run of each left (600 steps, trimmed to a few figures).
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_archives import TASK, archive, study, write

from comparison.archives import read_runs
from comparison.foreign import framework, metrics_as_ours, task_of
from comparison.group_charts import curves
from comparison.marl_eval import as_marl_eval, without_absolute
from comparison.pooling import Choice, pool
from comparison.verdicts import FOREIGN, basis, verdicts

FOREIGN_RUNS = Path(__file__).parent / "foreign"


def pooled(*folders, **choice):
    return pool(read_runs(folders), Choice(**choice))


def changed(folder, name, **values):
    write(folder, name, json.loads((folder / name).read_text()) | values)


@pytest.fixture
def epymarl(tmp_path):
    """The first of the two runs of EPyMARL."""
    shutil.copytree(FOREIGN_RUNS / "epymarl", tmp_path / "epymarl")
    return next((tmp_path / "epymarl").glob("sacred/qmix/*/1"))


def test_their_figures_are_read_from_either_file():
    runs = {(run.framework, run.config["seed"]): run for run in read_runs([FOREIGN_RUNS])}
    assert runs.keys() == {("PyMARL2", 1), ("EPyMARL", 1), ("EPyMARL", 2)} and not any(r.problem for r in runs.values())
    two = runs["PyMARL2", 1]
    assert (two.task, two.algorithm) == ("twenty_steps", "PyMARL2 qmix_env=8_adam_td_lambda")
    assert two.metrics["test_return_mean"]["steps"] == [40, 240, 440, 640]
    assert all(isinstance(value, float) for value in two.metrics["test_return_mean"]["values"])
    assert "grad_norm" not in two.metrics  # tensors, written as what unpickles them
    one = runs["EPyMARL", 1]
    assert (one.task, one.algorithm) == (TASK, "EPyMARL qmix")
    assert one.metrics["test_return_mean"]["steps"] == [25, 239, 451]
    groups = pooled(FOREIGN_RUNS).groups
    assert [(group.title, [len(line.members) for line in group.lines]) for group in groups] == [
        (TASK, [2]), ("twenty_steps", [1]),
    ]  # fmt: skip
    (timed,), (untimed,) = (group.lines for group in groups)
    assert timed.members[0].evaluations.minutes is not None and untimed.members[0].evaluations.minutes is None
    assert "when it was evaluated" in groups[1].foreign[0] and "when it was evaluated" not in groups[0].foreign[0]


def test_they_stand_beside_ours_with_a_warning_on_every_figure_and_without_a_verdict(tmp_path):
    study(tmp_path / "ours", algs=("mmsa", "qmix"), seeds=5)
    (group, _) = pooled(tmp_path / "ours", FOREIGN_RUNS).groups
    assert [line.label for line in group.lines] == ["mmsa", "qmix", "EPyMARL qmix"]
    qmix, theirs = group.lines[1:]
    assert theirs.style.colour == qmix.style.colour and theirs.style != qmix.style
    (warning,) = curves(group, "x").notes
    for word in ("EPyMARL qmix: ", "environment's version", "evaluation episodes", "drawn", "time limit", "its commit",
                 "t_max (600; here 100000)", "test_nepisode (2; here 4)"):  # fmt: skip
        assert word in warning
    said = {(verdict.first, verdict.second): verdict.says for verdict in verdicts(group)}
    assert [pair for pair, says in said.items() if says == FOREIGN] == [("mmsa", "EPyMARL qmix"),
                                                                        ("qmix", "EPyMARL qmix")]  # fmt: skip
    assert sum(says.startswith(("better", "no clear")) for says in said.values()) == 1


def test_ours_are_judged_and_exported_as_they_are_without_them(tmp_path):
    archive(tmp_path / "ours", "qmix", 1, 1, absolute=0.5)
    alone, both = pooled(tmp_path / "ours"), pooled(tmp_path / "ours", FOREIGN_RUNS)
    assert basis(alone.groups[0]) == basis(both.groups[0]) == "absolute"
    assert as_marl_eval(alone) == as_marl_eval(both) and without_absolute(alone) == without_absolute(both)


def test_a_run_that_did_not_come_to_its_end_is_left_out(epymarl):
    changed(epymarl, "config.json", t_max=650)  # an evaluation every 200 steps, the last at 451
    assert len(pooled(epymarl).groups) == 1
    changed(epymarl, "config.json", t_max=651)
    assert pooled(epymarl).groups == ()
    assert "its evaluations end at 451 of 651 steps" in pooled(epymarl).left_out[str(epymarl)]


def test_a_task_whose_runs_of_ours_are_all_unfinished_still_has_theirs(epymarl, tmp_path):
    archive(tmp_path / "ours", "qmix", 1, 1, t_max=900, steps=[0, 100, 200])
    (group,) = pooled(tmp_path / "ours", epymarl).groups
    assert [line.label for line in group.lines] == ["EPyMARL qmix"]
    (forced,) = pooled(tmp_path / "ours", epymarl, force=True).groups
    assert [line.label for line in forced.lines] == ["qmix", "EPyMARL qmix"]


def test_other_settings_or_lengths_are_lines_of_their_own_and_the_seed_is_none(epymarl):
    config = json.loads((epymarl / "config.json").read_text())
    changed(epymarl, "config.json", env_args=config["env_args"] | {"seed": 1}, use_cuda=True, label="mine")
    other = epymarl.parent / "2"
    changed(other, "config.json", env_args=config["env_args"] | {"seed": 2})
    (group,) = pooled(epymarl.parent).groups
    assert [len(line.members) for line in group.lines] == [2]
    changed(other, "config.json", t_max=500)
    (group,) = pooled(epymarl.parent).groups
    assert [line.label for line in group.lines] == ["EPyMARL qmix (t_max=500)", "EPyMARL qmix (t_max=600)"]


def test_what_is_no_figure_is_left_alone(epymarl):
    changed(epymarl, "metrics.json", loss={"steps": [1], "values": [{"py/reduce": []}], "timestamps": [""]})
    (run,) = read_runs([epymarl])
    assert not run.problem and "loss" not in run.metrics
    (epymarl / "metrics.json").unlink()  # sacred 0.7.5 writes none
    (run,) = read_runs([epymarl])
    assert run.metrics["test_return_mean"]["steps"] == [25, 239, 451] and not run.problem
    (epymarl / "info.json").write_text("{")
    (run,) = read_runs([epymarl])
    assert "info.json cannot be read" in run.problem


def test_whose_archive_it_is_and_which_task():
    theirs = {"agent_output_type": "q", "buffer_cpu_only": True}
    assert framework({}) == framework({"hidden_dim": 64}) == ""
    assert framework(theirs) == "PyMARL" and framework(theirs | {"run": "default"}) == "PyMARL2"
    assert framework(theirs | {"hidden_dim": 64}) == "EPyMARL"
    assert task_of({"env": "sc2", "env_args": {"map_name": "3m"}}) == "3m"
    assert task_of({"env": "gymma", "env_args": {"key": "a:b-v1"}}) == "b-v1"
    assert task_of({"env": "x", "env_args": {"key": None}}) == "x"


def test_returns_of_agents_with_rewards_of_their_own_are_those_of_all():
    info = {"test_total_return_mean": [1.0, 2.0], "test_total_return_mean_T": [0, 5], "odd_T": [1]}
    found = metrics_as_ours({}, info, lambda series: isinstance(series, dict))
    assert found["test_return_mean"]["values"] == [1.0, 2.0]
    twice = metrics_as_ours({}, {"x": [1.0, 2.0], "x_T": [3, 3]}, lambda series: isinstance(series, dict))
    np.testing.assert_array_equal(twice["x"]["values"], [2.0])
