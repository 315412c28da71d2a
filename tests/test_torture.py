"""The torture test finds what it looks for, and a short one finds nothing."""

import json
import shutil

import pytest
from tiny_runs import play, read

from benchmarks import torture


def test_a_twin_that_differs_is_told_and_what_is_missing_is_counted(tmp_path):
    twin = play("vdn", results=tmp_path / "r", absolute_factor="1")
    folder = shutil.copytree(twin, tmp_path / "copy")
    assert torture.differences(folder, twin) == ([], 0)
    metrics = read(folder, "metrics.json")
    for series in metrics["test_return_mean"].values():
        del series[-1]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = (folder / "eval_episodes.csv").read_text().splitlines(keepends=True)
    (folder / "eval_episodes.csv").write_text("".join(rows[:-2]))
    tensors = torture._checkpoints(folder)[-1] / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    assert torture.differences(folder, twin) == (["figures", "eval_episodes.csv", "tensors.safetensors"], 3)
    shutil.rmtree(torture._checkpoints(folder)[-1])
    assert "the last checkpoint's step" in torture.differences(folder, twin)[0]


@pytest.mark.slow
def test_every_run_equals_its_twin_after_forty_faults(tmp_path):
    monkey, told = torture.torture(tmp_path, ["vdn", "mmsa", "ia2c"], steps=2000, faults=40, seed=2)
    torture.report(monkey, told)
    assert sum(monkey.done.values()) == 40 and min(monkey.done.values()) >= 4
    assert [(found, lost) for _, found, lost, _ in told] == [([], 0)] * 3
    assert monkey.refused == monkey.done["resumed twice"]
