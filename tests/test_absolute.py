"""The absolute metric: the best policy, not the last one, on episodes of its own, whatever happened to the run."""

import csv
import shutil

import pytest
from test_resume import same_run, stop_after
from tiny_runs import files, play, read

import main
from training import absolute, resuming

# Evaluations are deterministic here. Seed 1 is best at 280 of 300 steps, seed 2 at 80, seed 4 at 0.
CLIMBING = {
    "env_args.key": "climbing", "lr": "0.01", "t_max": "300", "test_interval": "40", "absolute_factor": "2",
    "updates_per_run": "2", "rewarded_share": "0",
}  # fmt: skip
LATE, EARLY, FIRST = {"seed": "1"}, {"seed": "2"}, {"seed": "4"}
ALL_EPISODES = {"buffer_size": "512"}  # so that replay goes back to every checkpoint


def climb(results, **settings):
    return play("vdn", "matrix_game", results, **(CLIMBING | settings))


def absolute_rows(folder):
    with (folder / "absolute_episodes.csv").open() as file:
        return list(csv.DictReader(file))


def kept(folder):
    return {path.name for path in (folder / "best").iterdir()}


def test_the_best_checkpoint_is_played_again_and_not_the_last(tmp_path):
    folder = climb(tmp_path, **EARLY)
    metrics = read(folder, "metrics.json")
    assert max(metrics["test_return_mean"]["values"]) == 6.0 and metrics["test_return_mean"]["values"][-1] == 5.0
    assert metrics["absolute_return_mean"]["values"] == [6.0] and metrics["absolute_return_mean"]["steps"] == [300]
    assert metrics["absolute_ep_length_mean"]["values"] == [1.0]
    rows = absolute_rows(folder)
    assert len(rows) == 2 * 3 and {row["t_env"] for row in rows} == {"80"}
    assert kept(folder) == {"t_80"}


def test_its_episodes_are_none_of_those_that_chose_the_checkpoint(tmp_path):
    folder = play("vdn", "lbf", tmp_path, absolute_factor="2")
    with (folder / "eval_episodes.csv").open() as file:
        seen = {row["seed"] for row in csv.DictReader(file)}
    assert seen.isdisjoint(row["seed"] for row in absolute_rows(folder))
    assert len({row["seed"] for row in absolute_rows(folder)}) == 6


def test_a_run_that_does_not_ask_for_it_keeps_no_best_checkpoint(tmp_path):
    folder = climb(tmp_path, absolute_factor="0")
    assert not (folder / "best").exists() and "absolute_return_mean" not in read(folder, "metrics.json")


def test_the_best_checkpoint_can_be_evaluated_again(tmp_path):
    folder = climb(tmp_path, **EARLY)
    again = play("vdn", "matrix_game", tmp_path / "again", **{"env_args.key": "climbing", "evaluate": "true"},
                 checkpoint_path=str(folder / "best"))  # fmt: skip
    assert read(again, "metrics.json")["test_return_mean"]["values"] == [6.0]


def same_absolute(one, other):
    same_run(one, other)
    assert absolute_rows(one) == absolute_rows(other)
    assert files(one / "best") == files(other / "best")


@pytest.mark.parametrize("seed", [FIRST, EARLY], ids=["first", "early"])
@pytest.mark.parametrize("checkpoint", [0, 2, 3])
def test_a_run_that_died_ends_with_the_same_absolute_metric(seed, checkpoint, tmp_path):
    whole = climb(tmp_path / "whole", **seed, **ALL_EPISODES)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, checkpoint)
    status = (died / "run.json").read_text()
    (died / "run.json").write_text(status.replace("COMPLETED", "RUNNING"))
    shutil.copytree(next((whole / "best").iterdir()), died / "best" / "t_299")  # of a future that may not come again
    assert main.main([f"resume={died}"]) == 0
    same_absolute(whole, died)
    assert read(died, "run.json")["status"] == "COMPLETED"


def test_a_run_that_died_after_its_last_step_only_makes_the_absolute_metric(tmp_path, monkeypatch):
    whole = climb(tmp_path / "whole", **EARLY)
    with monkeypatch.context() as patch:
        patch.setattr(absolute, "append_rows", _die)
        with pytest.raises(_DiedError):
            climb(tmp_path / "died", **EARLY)
    (config,) = (tmp_path / "died").rglob("config.json")
    assert read(config.parent, "run.json")["status"] == "FAILED"
    assert not (config.parent / absolute.ABSOLUTE_EPISODES).exists()
    monkeypatch.setattr("training.loop.play_round", _die)  # what is trained is trained
    assert main.main([f"resume={config.parent}"]) == 0
    same_absolute(whole, config.parent)


def test_what_was_best_at_the_last_checkpoint_stays_until_the_next_one_is_written(tmp_path, monkeypatch):
    whole = climb(tmp_path / "whole", **LATE)
    save_checkpoint = resuming.save_checkpoint

    def dies_at_the_end(folder, t_env, *what):
        return _die() if t_env == 300 else save_checkpoint(folder, t_env, *what)

    with monkeypatch.context() as patch:
        patch.setattr(resuming, "save_checkpoint", dies_at_the_end)
        with pytest.raises(_DiedError):
            climb(tmp_path / "died", **LATE)
    (config,) = (tmp_path / "died").rglob("config.json")
    assert kept(config.parent) == {"t_0", "t_280"} and kept(whole) == {"t_280"}
    assert main.main([f"resume={config.parent}"]) == 0
    same_absolute(whole, config.parent)


class _DiedError(Exception):
    pass


def _die(*_):
    raise _DiedError


def test_training_on_makes_the_absolute_metric_anew(tmp_path):
    folder = climb(tmp_path / "half", **LATE, **{"t_max": "160"})
    assert absolute_rows(folder)[0]["t_env"] == "0"
    assert main.main([f"resume={folder}", "with", "t_max=300"]) == 0
    assert {row["t_env"] for row in absolute_rows(folder)} == {"280"} and len(absolute_rows(folder)) == 6
    assert read(folder, "metrics.json")["absolute_return_mean"]["steps"] == [300]


def test_a_best_checkpoint_that_is_gone_is_told_in_one_line(tmp_path, capsys):
    folder = climb(tmp_path, **EARLY)
    (folder / "run.json").write_text((folder / "run.json").read_text().replace("COMPLETED", "FAILED"))
    shutil.rmtree(folder / "best")
    capsys.readouterr()
    assert main.main([f"resume={folder}"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "t_80" in err
