"""Agents that were trained apart play together: known returns, the same episodes for all, and who cannot is told."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny_runs import DREAMS, files, play

import crossplay
import main
from deployment import pairings
from deployment.agents import load_agents
from deployment.team import Team
from envs import make_env
from mmsa_pymarl.cli import main as mmsa
from training.evaluation import play_greedy
from training.reopen import ONE_HERE, reopen
from training.seeding import Stream, episode_streams
from utils.errors import UserError

pytest.importorskip("scipy", reason="no scipy: pip install -r requirements-report.txt")
SHORT = {"t_max": "24", "batch_size": "4", "test_nepisode": "1", "test_interval": "24", "device": "cpu"}
COORDINATION = {"env_args.key": "coordination"}
OF_THREE = "env_args.key=Foraging-5x5-3p-1f-v3"


def run(*argv):
    return crossplay.main([str(word) for word in argv])


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A short run on the game of two conventions, whose agents are then given a convention by hand."""
    root = tmp_path_factory.mktemp("conventions")
    first = play("vdn", "matrix_game", root / "first", **SHORT | COORDINATION)

    def convention(action, seed, name="vdn"):
        folder = root / "made" / "sacred" / "coordination" / name / str(seed)
        if not folder.exists():
            shutil.copytree(first, folder)
            config = json.loads((folder / "config.json").read_text()) | {"seed": seed, "name": name}
            (folder / "config.json").write_text(json.dumps(config))
            for path in folder.glob("checkpoints/*/tensors.safetensors"):
                tensors = load_file(path)
                tensors["trained.agent.fc2.bias"][action] += 100.0
                save_file(tensors, path)
        return folder

    return convention


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run of a method on Level-Based Foraging, made when it is first asked for."""
    made = {}

    def folder(name, **settings):
        key = (name, *settings.items())
        if key not in made:
            made[key] = play(name, "lbf", tmp_path_factory.mktemp("runs"), **SHORT | settings)
        return made[key]

    return folder


def test_agents_of_two_conventions_get_nothing_together_and_all_with_their_like(learnt, tmp_path, capsys):
    folders = [learnt(0, 1), learnt(1, 2), learnt(0, 3)]
    assert mmsa(["crossplay", *map(str, folders), "--out", str(tmp_path), "--episodes", "3"]) == 0
    out = capsys.readouterr().out
    assert [float(row["return_mean"]) for row in rows(tmp_path / "pairs.csv")] == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert "| vdn, seed 2 | 0.000 ± 0.000 | 1.000 ± 0.000 | 0.000 ± 0.000 |" in out
    self_play, cross_play = rows(tmp_path / "methods.csv")
    assert (self_play["kind"], self_play["return_mean"], self_play["pairs"]) == ("self-play", "1.0", "3")
    returns = np.array([0, 1, 0, 0, 1, 0])
    half = 2.5705818 * returns.std(ddof=1) / np.sqrt(6)  # Student's with 5 degrees of freedom
    assert float(cross_play["return_mean"]) == pytest.approx(1 / 3) and cross_play["pairs"] == "6"
    assert float(cross_play["return_high"]) == pytest.approx(1 / 3 + half, rel=1e-6)
    assert "| vdn | 1.000 ± 0.000 | 0.333 ± 0.542 |" in out
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written.keys() == {"pairs.csv", "methods.csv", "episodes.csv", "matrix.png", "matrix.svg"}
    assert written["matrix.png"].startswith(b"\x89PNG") and b"</svg>" in written["matrix.svg"]


def test_a_team_has_an_agent_of_each_run_in_order(learnt, capsys):
    first, second = learnt(0, 1), learnt(1, 2)
    assert run(first, second, "--team", "--episodes", 2) == 0
    said = ["seat 1: vdn, seed 1", "seat 2: vdn, seed 2", "return 0.000 ± 0.000"]
    assert capsys.readouterr().out.splitlines()[1:] == said
    assert run(second, second, "--team", "--episodes", 2) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "return 1.000 ± 0.000"


@pytest.mark.parametrize("others", [("vdn", {}), ("mappo", {}), ("dmawm", DREAMS)])
def test_a_pair_acts_as_its_agents_do_one_step_at_a_time(others, trained):
    """A controller that follows the whole team does at its seats what agents do that see their own past alone."""
    host, guest = trained("mmsa"), trained(others[0], **others[1])
    settings = pairings.task_settings([str(host), str(guest)], {})
    runner = pairings.open_runner(settings, 3)
    macs = [load_agents(path, runner.info).mac for path in (host, guest)]
    streams = [episode_streams(5, Stream.TEST_EPISODE, 0, number) for number in range(3)]
    batch, results = runner.run(Team(macs), streams, 0.0)
    for number, (seed, _) in enumerate(streams):
        env, pair = make_env("lbf", settings["env_args"]), [load_agents(path) for path in (host, guest)]
        env.reset(seed)
        total, ended, taken = 0.0, False, []
        while not ended:
            seen = env.get_obs().copy(), env.get_avail_actions().copy()
            taken.append([agents.act(*seen)[seat] for seat, agents in enumerate(pair)])
            reward, terminated, truncated, _ = env.step(np.array(taken[-1]))
            total, ended = total + reward, terminated or truncated
        assert batch.array("actions")[number, : len(taken), :, 0].tolist() == taken
        assert (results[number].episode_return, results[number].length) == (total, len(taken))
    runner.close()


def test_a_run_with_itself_plays_as_in_evaluation_and_all_pairs_play_the_same_episodes(trained, tmp_path):
    host, guest = trained("mmsa"), trained("vdn")
    assert run(host, guest, "--out", tmp_path, "--episodes", 4, "--seed", 7) == 0
    found = rows(tmp_path / "episodes.csv")
    seeds = [row["seed"] for row in found[:4]]
    assert len(set(seeds)) == 4 and [row["seed"] for row in found] == seeds * 4
    opened = reopen(str(host), main.CONFIG_DIR, ONE_HERE)
    own = play_greedy(opened, [episode_streams(7, Stream.TEST_EPISODE, 0, number) for number in range(4)])
    assert [(float(row["return"]), int(row["length"])) for row in found[:4]] == [
        (result.episode_return, result.length) for result in own
    ]  # fmt: skip
    opened.close()


def test_agents_that_do_not_hang_on_their_number_play_with_more(trained, tmp_path, capsys):
    hpn, qmix = trained("hpn_vdn", obs_agent_id="false"), trained("hpn_qmix", obs_agent_id="false")
    assert run(hpn, qmix, "--out", tmp_path, "--episodes", 2, "with", OF_THREE) == 0, capsys.readouterr().err
    assert "rows play the first 2 of 3 seats, columns the last 1" in capsys.readouterr().out
    assert run(hpn, qmix, "--out", tmp_path, "--episodes", 2, "--guests", 2, "with", OF_THREE) == 0
    assert "rows play the first 1 of 3 seats, columns the last 2" in capsys.readouterr().out


def test_agents_of_three_play_with_those_of_two_in_a_team_of_two(trained, tmp_path, capsys):
    key, _, three = OF_THREE.partition("=")
    pair = [trained("hpn_vdn", obs_agent_id="false", **more) for more in ({key: three}, {})]
    assert [load_agents(path).info.n_agents for path in pair] == [3, 2]
    assert run(*pair, "--out", tmp_path, "--episodes", 2, "with", OF_THREE.replace("3p", "2p")) == 0
    assert "rows play the first 1 of 2 seats, columns the last 1" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "settings", "says"), [
    ("vdn", {}, "each reads its number among 2 (obs_agent_id=True)"),
    ("vdn", {"obs_agent_id": "false", "share_parameters": "false"}, "networks of their own (share_parameters=False)"),
    ("vdn", {"obs_agent_id": "false"}, "made for 2 agents, observations of 9 numbers, 6 discrete actions, and here"),
])  # fmt: skip
def test_others_are_refused_in_one_line(name, settings, says, trained, tmp_path, capsys):
    folder = trained(name, **settings)
    with pytest.raises(UserError) as refused:
        load_agents(folder, replace(load_agents(folder).info, n_agents=3, obs_size=12))
    assert says in str(refused.value) and "\n" not in str(refused.value)
    assert run(folder, trained("hpn_vdn", obs_agent_id="false"), "--out", tmp_path / "x", "with", OF_THREE) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_agents_without_a_number_act_among_more_where_they_see_as_much(trained):
    folder = trained("vdn", obs_agent_id="false")
    two = load_agents(folder)
    five = load_agents(folder, replace(two.info, n_agents=5))
    obs = np.random.default_rng(0).integers(-1, 5, size=(5, two.info.obs_size))
    for _ in range(3):
        assert five.act(obs)[:2].tolist() == two.act(obs[:2]).tolist()


def test_agents_that_attend_to_all_do_not_play_with_strangers(trained, tmp_path, capsys):
    assert run(trained("mamba", **DREAMS), trained("vdn"), "--out", tmp_path / "x") == 2
    err = capsys.readouterr().err
    assert "agents of mamba attend to everybody's observations" in err and err.count("\n") == 1


def test_ctrl_c_in_the_middle_leaves_nothing(learnt, tmp_path, monkeypatch, capsys):
    calls, real = [], pairings.play_team

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(pairings, "play_team", interrupted)
    out = tmp_path / "new" / "newer"
    assert run(learnt(0, 1), learnt(1, 2), "--out", out, "--episodes", 2) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n" and not list(tmp_path.iterdir())
    calls.clear()
    out.mkdir(parents=True)  # somebody's own stays
    assert run(learnt(0, 1), learnt(1, 2), "--out", out, "--episodes", 2) == 130
    assert not list(out.iterdir())


@pytest.mark.parametrize(("words", "says"), [
    (["{a}"], "two runs are needed at least"),
    (["{a}", "{a}"], "is given twice"),
    (["{a}", "nowhere"], "nowhere: no checkpoint here"),
    (["{a}", "{lbf}"], "give runs of one task"),
    (["{a}", "{b}", "--guests", "2"], "of whom 1 to 1 can be guests"),
    (["{a}", "{b}", "{c}", "--team"], "has 2 agents, and 3 runs are given"),
    (["{a}", "{b}", "--episodes", "0"], "--episodes: '0' is no whole number"),
    (["{a}", "{b}", "--out", "{a}/config.json"], "cannot write there"),
    (["{a}", "{b}", "with", "lr=1"], "what may be changed here is env_args"),
    (["{a}", "{b}", "with", "env_args.key=onestep"], "onestep"),
    (["{a}", "{b}", "with", "env_args.kye=one_step"], "kye"),
    (["{a}", "{b}", "--colour"], "--colour"),
])  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(words, says, learnt, trained, capsys):
    named = {"a": learnt(0, 1), "b": learnt(1, 2), "c": learnt(0, 3), "lbf": trained("vdn")}
    before = files(Path(named["a"]))
    assert run(*(word.format(**named) for word in words)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert files(named["a"]) == before and not Path("crossplay").exists()


def test_runs_of_one_name_with_other_settings_are_other_methods(learnt, tmp_path):
    other = tmp_path / "sacred" / "coordination" / "vdn" / "9"
    shutil.copytree(learnt(1, 2), other)
    config = json.loads((other / "config.json").read_text()) | {"lr": 0.5}
    (other / "config.json").write_text(json.dumps(config))
    paths = [str(learnt(0, 1)), str(learnt(1, 2)), str(other)]
    runner = pairings.open_runner(pairings.task_settings(paths, {}), 1)
    players = pairings.load_players(paths, runner)
    assert [player.method for player in players] == ["vdn (lr=0.001)", "vdn (lr=0.001)", "vdn (lr=0.5)"]
    assert len({player.label for player in players}) == 3


