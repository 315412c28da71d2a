"""`study.py plan`: a short run of each kind, and what all would take from it."""

import pytest

import study
from study_runs.plan_command import Speed, duration, speed_of

FILE = """\
algorithms: [vdn, iql]
tasks: [{env_config: matrix_game, env_args.key: climbing}]
seeds: [1, 2, 3]
settings: {t_max: 3600, test_interval: 1000, test_nepisode: 4, batch_size: 8, local_results_path: out}
"""


def test_a_run_takes_its_training_and_its_evaluations():
    settings = {"t_max": 1000, "test_interval": 300, "test_nepisode": 10, "absolute_factor": 5}
    # five evaluations while it trains (at 0, 300, …, 1,000 and before), five times ten episodes of 20 steps at the end
    assert duration(settings, Speed(0.5, 0.1, 20)) == pytest.approx(1000 * 0.5 + (1 + 4 + 5) * 10 * 20 * 0.1)


def test_speed_is_that_of_the_last_two_entries():
    figures = {
        "steps_per_second": {"values": [999, 100, 100]}, "time_act": {"values": [0.9, 0.1, 0.3]},
        "time_env": {"values": [0.9, 0.05, 0.15]}, "ep_length_mean": {"values": [1, 20, 30]},
    }  # fmt: skip
    assert speed_of(figures) == pytest.approx(Speed(0.01, 0.003, 25))


def test_every_kind_is_run_once_and_nothing_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE)
    assert study.main(["plan", "s.yaml", "--steps", "200"]) == 0
    out = capsys.readouterr().out
    assert out.count("for each of 3") == 2 and "one after the other" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.yaml"]


def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE)
    assert study.main(["plan", "s.yaml", "--steps", "3"]) == 2
    (tmp_path / "s.yaml").write_text(FILE.replace("batch_size: 8", "mixer: rollout_qmix"))
    assert study.main(["plan", "s.yaml", "--steps", "200"]) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and "at least 5 steps" in err and "climbing vdn: its short run failed: error: " in err
