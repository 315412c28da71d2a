"""Runs in which every agent has a reward of its own: what is logged and archived of them, and how they go on."""

import csv
import shutil

import numpy as np
import pytest
from test_marl_eval import export
from test_resume import SAVES, same_run, stop_after
from tiny_runs import csv_rows, play, read

import main
import study

OWN = {"env_args.common_reward": "false", "env_args.key": "Foraging-4x4-2p-2f-v2", "test_nepisode": "8"}
AGENTS = ("agent_0_return", "agent_1_return")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """IQL on a task so small that food is taken by chance, with the absolute metric."""
    results = tmp_path_factory.mktemp("whole")
    return play("iql", "lbf", results, t_max="300", runner="parallel", absolute_factor="2", **OWN, **SAVES)


def test_returns_of_agents_are_listed_and_logged_and_add_up(whole):
    figures, rows = read(whole, "metrics.json"), csv_rows(whole)
    assert list(rows[0]) == ["t_env", "seed", "return", "length", "truncated", "won", *AGENTS]
    assert all(float(row["return"]) == sum(float(row[agent]) for agent in AGENTS) for row in rows)
    assert sum(float(row["return"]) for row in rows) > 0 and any(row[AGENTS[0]] != row[AGENTS[1]] for row in rows)
    for place, step in enumerate(figures["test_return_mean"]["steps"]):
        played = [row for row in rows if int(row["t_env"]) == step]
        for column in ("return", *AGENTS):
            mean = sum(float(row[column]) for row in played) / len(played)
            assert figures[f"test_{column}_mean"]["values"][place] == pytest.approx(mean)
    for prefix in ("", "absolute_"):
        parts = [figures[f"{prefix}{agent}_mean"]["values"][-1] for agent in AGENTS]
        assert figures[f"{prefix}return_mean"]["values"][-1] == pytest.approx(sum(parts))
    with (whole / "absolute_episodes.csv").open() as file:
        assert set(AGENTS) <= set(next(csv.DictReader(file)))


def test_a_run_that_died_goes_on_bit_for_bit(whole, tmp_path):
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 1)
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)


def test_a_report_shows_an_agents_own_return(whole, tmp_path, monkeypatch):
    pytest.importorskip("rliable", reason="rliable is not installed: pip install -r requirements-report.txt")
    monkeypatch.setattr("comparison.report.write_chart", lambda chart, folder: [])
    monkeypatch.setattr("comparison.aggregates.RESAMPLES", 50)
    assert study.main(["report", str(whole), "--metric", "test_agent_1_return_mean", "--out", str(tmp_path / "r")]) == 0
    with (tmp_path / "r" / "scores.csv").open(newline="") as file:
        (area,) = (float(row["centre"]) for row in csv.DictReader(file) if row["score"] == "area")
    curves = [read(whole, "metrics.json")[f"test_{name}_mean"] for name in ("agent_1_return", "return")]
    own, team = (np.trapezoid(x["values"], x["steps"]) / (x["steps"][-1] - x["steps"][0]) for x in curves)
    assert area == pytest.approx(own) and own < 0.9 * team


def test_exports_read_the_teams_return(whole):
    ((run,),) = (list(algorithms["iql"].values()) for algorithms in export(whole.parents[3])["lbf"].values())
    assert [sum(run[f"step_{k}"]["return"]) / 8 for k in range(len(run) - 1)] == pytest.approx(
        read(whole, "metrics.json")["test_return_mean"]["values"]
    )


def test_a_teams_reward_leaves_the_archive_as_it_is(tmp_path):
    folder = play("iql", "lbf", tmp_path)
    assert list(csv_rows(folder)[0])[-1] == "won"
    assert not any("agent_" in name for name in read(folder, "metrics.json"))
