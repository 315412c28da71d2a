"""`study.py plan`: a short run of each kind, and what all would take from it."""

import pytest

import study
from study_runs import plan_command
from study_runs.equal_minutes import equal_updates
from study_runs.plan_command import Speed, duration, speed_of
from study_runs.study_file import read_study

FILE = """\
algorithms: [vdn, iql]
tasks: [{env_config: matrix_game, env_args.key: climbing}]
seeds: [1, 2, 3]
settings: {t_max: 3600, test_interval: 1000, test_nepisode: 4, batch_size: 8,
           rnn_hidden_dim: 8, local_results_path: out}
"""


def test_a_run_takes_its_training_and_its_evaluations():
    settings = {"t_max": 1000, "test_interval": 300, "test_nepisode": 10, "absolute_factor": 5}
    # five evaluations while it trains (at 0, 300, …, 1,000 and before), five times ten episodes of 20 steps at the end
    assert duration(settings, Speed(0.5, 0.1, 0.2, 20)) == pytest.approx(1000 * 0.5 + (1 + 4 + 5) * 10 * 20 * 0.1)


def test_speed_is_that_of_what_passed_since_the_third_last_entry():
    """Ten seconds to step 100, where nothing was learnt; then 20 more to step 300, half of them learning."""
    figures = {
        "steps_per_second": {"steps": [50, 100, 200, 300], "values": [999, 10, 10, 10]},
        "time_act": {"values": [0.9, 0.5, 0.4, 0.3]}, "time_env": {"values": [0.9, 0.5, 0.4, 0.3]},
        "time_learn": {"values": [0, 0, 0.2, 1 / 3]}, "ep_length_mean": {"values": [1, 1, 20, 30]},
    }  # fmt: skip
    assert speed_of(figures) == pytest.approx(Speed(0.1, (18 - 10) / 200, 10 / 200, 25))


@pytest.mark.parametrize(
    "updates, training, learning, dearest, expected",
    [(2, 1, 0.5, 4.0, 14), (2, 1, 0.5, 1.0, 2), (2, 1, 0.5, 0.9, 2), (1, 3, 0.0, 9.0, 1), (2, 1, 0.5, 1.3, 3)],
)
def test_as_many_updates_as_fit_into_the_dearest_ones_time(updates, training, learning, dearest, expected):
    assert equal_updates(updates, training, learning, dearest) == expected


def test_every_kind_is_run_once_and_nothing_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE)
    assert study.main(["plan", "s.yaml", "--steps", "200"]) == 0
    out = capsys.readouterr().out
    assert out.count("for each of 3") == 2 and "one after the other" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.yaml"]


def test_the_study_is_written_again_with_equal_minutes(tmp_path, monkeypatch, capsys):
    """By speeds that are given: a moment's work beside a short run would make another method the dearest."""
    speeds = {"vdn": Speed(0.01, 0, 0.004, 20), "mmsa": Speed(0.05, 0, 0.04, 20), "ippo": Speed(0.02, 0, 0.01, 20)}
    monkeypatch.setattr(plan_command, "measured", lambda run, steps, threads: speeds[run.algorithm])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE.replace("[vdn, iql]", "[vdn, {config: mmsa, rollout_horizon: 2}, ippo]"))
    assert study.main(["plan", "s.yaml", "--equal-minutes", "equal"]) == 0
    (path,) = (tmp_path / "equal").iterdir()
    assert f"{path.relative_to(tmp_path)}: updates_per_run vdn 88, mmsa 4" in capsys.readouterr().out
    before, after = read_study(tmp_path / "s.yaml")[1], read_study(path)[1]
    vdn, mmsa, ippo = after.algorithms
    assert vdn["updates_per_run"] == "88"  # 8 take 0.004 of a step's 0.01 seconds, 88 the 0.04 that MMSA has more
    assert mmsa["updates_per_run"] == "4" and mmsa["rollout_horizon"] == "2"
    assert ippo == {"config": "ippo"}
    assert (after.tasks, after.seeds, after.settings) == (before.tasks, before.seeds, before.settings)
    mine = path.read_text() + "# mine\n"
    path.write_text(mine)
    assert study.main(["plan", "s.yaml", "--equal-minutes", "equal"]) == 2
    out, err = capsys.readouterr()
    assert not out and "is there already; remove it" in err and err.count("\n") == 1 and path.read_text() == mine


def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE)
    assert study.main(["plan", "s.yaml", "--steps", "3"]) == 2
    assert study.main(["plan", "s.yaml", "--steps", "5"]) == 2  # a single round of episodes
    (tmp_path / "s.yaml").write_text(FILE.replace("batch_size: 8", "mixer: rollout_qmix"))
    assert study.main(["plan", "s.yaml", "--steps", "200"]) in (1, 2)
    err = capsys.readouterr().err
    (tmp_path / "s.yaml").write_text(FILE + "variants: {one: {lr: 0.1}}")
    assert study.main(["plan", "s.yaml", "--equal-minutes", "equal"]) == 2
    assert capsys.readouterr().err.startswith("error: --equal-minutes is for studies without variants")
    assert err.count("\n") == 3 and "--steps 5: its episodes are too long" in err
    assert "at least 5 steps" in err and "climbing vdn: its short run failed: error: " in err
