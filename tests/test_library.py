"""`mmsa_pymarl` in a program: training, agents that act elsewhere, parts from outside, figures as a frame."""

import json
import shutil
import sys
from pathlib import Path

import gymnasium
import lbforaging  # noqa: F401  registers its environments
import numpy as np
import pytest
import yaml
from made_archives import study
from tiny_runs import DREAMS, LBF, TINY, play, read

import deployment.agents
import envs
import learners
import main
import mmsa_pymarl
from mmsa_pymarl import load_agents, load_runs, make_env, resume, train
from mmsa_pymarl.cli import COMMANDS
from mmsa_pymarl.cli import main as mmsa
from mmsa_pymarl.settings_command import schema_text
from settings import outside
from training.evaluation import evaluation_streams
from training.reopen import ONE_HERE, reopen
from utils.errors import UserError

SHORT = {"t_max": "24", "batch_size": "4", "test_nepisode": "2", "test_interval": "24", "device": "cpu"}
OWN = {"share_parameters": "false", "use_rnn": "false"}
METHODS = {
    "iql": {}, "vdn own": OWN, "mmsa": {}, "mappo": {}, "coma": {}, "dmawm": DREAMS, "mabl": DREAMS, "mamba": DREAMS,
    "dreamer": DREAMS, "set_qmix": {}, "hpn_qmix": {}, "mmsa_hpn": {}, "smmae": {}, "qplex": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of each method, made when it is first asked for."""
    made = {}

    def run(name):
        if name not in made:
            results = tmp_path_factory.mktemp("runs")
            made[name] = play(name.split()[0], "lbf", results, **SHORT | METHODS[name])
        return made[name]

    return run


@pytest.mark.parametrize("name", METHODS)
def test_agents_act_as_in_their_evaluation_without_the_task(name, runs, monkeypatch):
    folder = runs(name)
    run = reopen(str(folder), main.CONFIG_DIR, ONE_HERE)
    streams = evaluation_streams(run, 2)
    evaluated = [run.runner.run(run.mac, [stream], 0.0) for stream in streams]
    env = run.runner.env
    with monkeypatch.context() as patch:
        patch.delattr(deployment.agents, "make_env")
        agents = load_agents(folder)
    for (seed, _), (batch, (result,)) in zip(streams, evaluated, strict=True):
        env.reset(seed)
        agents.reset()
        for t in range(result.length):
            actions = agents.act(env.get_obs(), env.get_avail_actions())
            np.testing.assert_array_equal(actions, batch.array("actions")[0, t, :, 0])
            env.step(actions)
    run.close()


def test_agents_play_gymnasiums_own_environment(runs):
    env = gymnasium.make("Foraging-5x5-2p-1f-v3", max_episode_steps=6)
    agents = load_agents(runs("mmsa") / "checkpoints")
    for seed in (0, 1):
        obs, _ = env.reset(seed=seed)
        agents.reset()
        for _ in range(6):
            actions = agents.act(obs)
            assert env.action_space.contains(tuple(actions))
            obs, _, terminated, truncated, _ = env.step(actions)
            if terminated or truncated:
                break


def test_agents_play_pettingzoos_own_environment(tmp_path):
    mpe2 = pytest.importorskip("mpe2")
    settings = {"env_args.key": "pz-mpe-simple-spread-v3", "env_args.time_limit": "5"}
    agents = load_agents(play("mappo", "gymma", tmp_path, **SHORT | settings))
    env = mpe2.simple_spread_v3.parallel_env(max_cycles=5)
    obs, _ = env.reset(seed=0)
    while env.agents:
        actions = agents.act(obs)
        assert list(actions) == env.agents and all(env.action_space(name).contains(actions[name]) for name in actions)
        obs, *_ = env.step(actions)


def test_agents_of_an_archive_without_sizes_look_at_the_task(runs, tmp_path):
    folder = Path(shutil.copytree(runs("iql"), tmp_path / "a" / "b" / "c" / "1"))
    text = (folder / "info.json").read_text()
    sizes = read(folder, "info.json")["task"]
    assert sizes["n_agents"] == 2 and sizes["obs_size"] == 9
    (folder / "info.json").write_text(text.replace('"task"', '"other"'))
    assert load_agents(folder).info.obs_size == 9
    (folder / "info.json").write_text(text.replace('"obs_size": 9', '"obs_size": -9'))
    with pytest.raises(UserError, match=r"info.json: what it says of the task is damaged"):
        load_agents(folder)
    (folder / "info.json").write_text(text.replace('"obs_size": 9', '"obs_size": 10'))
    with pytest.raises(UserError, match="does not hold these agents"):
        load_agents(folder)


def test_what_agents_cannot_read_is_refused(runs):
    agents = load_agents(runs("iql"))
    with pytest.raises(ValueError, match=r"2 observations of at most 9 numbers, not \[9\]"):
        agents.act(np.zeros((1, 9)))
    with pytest.raises(ValueError, match="an agent has no action"):
        agents.act(np.zeros((2, 9)), np.zeros((2, 6)))
    np.testing.assert_array_equal(agents.act(np.zeros((2, 9)), np.eye(2, 6)), [0, 1])


def test_training_from_a_program_is_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = TINY | LBF | {"t_max": 60, "test_interval": 60, "save_model": True, "local_results_path": "a"}
    folder = train("vdn", "lbf", settings)
    other = play("vdn", "lbf", "b", t_max="60", test_interval="60")
    series = [{name: part["values"] for name, part in read(each, "metrics.json").items()} for each in (folder, other)]
    assert series[0]["test_return_mean"] == series[1]["test_return_mean"]
    assert series[0]["loss_td"] == series[1]["loss_td"]
    assert resume(folder, t_max=90) == folder and read(folder, "config.json")["t_max"] == 90
    with pytest.raises(UserError, match="did you mean lr"):
        train("vdn", "lbf", lrr=0.1)
    env = make_env("lbf", key="Foraging-5x5-2p-1f-v3")
    assert env.info.n_agents == 2
    env.close()


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """The documented package from outside, as pip leaves it; what it registers is forgotten afterwards."""
    shutil.copytree(Path(main.__file__).parents[1] / "docs" / "outside", tmp_path / "site")
    info = tmp_path / "site" / "echo_game-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-game\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mmsa_pymarl]\necho_game = echo_game:register\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(outside, "_asked", [])
    registries = [envs.ENVS, learners.REGISTRY, outside._files, outside._learners]
    before = [dict(registry) for registry in registries]
    yield info
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)


def test_a_task_and_a_learner_from_outside_are_taken_like_ours(echo, tmp_path):
    folder = play("cautious", "echo", tmp_path / "results", **SHORT | {"runner": "parallel", "env_args.words": "4"})
    config = read(folder, "config.json")
    assert folder.parts[-3:-1] == ("echo-4", "cautious") and config["caution"] == 0.1 and config["mixer"] == "qmix"
    losses = read(folder, "metrics.json")["loss_cautious"]["values"]
    assert np.isfinite(losses).all() and losses[0] > 0
    agents = load_agents(folder)
    assert agents.act(np.zeros((2, 8))).shape == (2,)


def test_the_schema_that_an_editor_is_given_knows_the_settings_from_outside(echo):
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json.loads(schema_text("settings"))).is_valid
    for path in sorted((echo.parent / "echo_game").glob("*.yaml")):
        assert path.read_text().startswith("# yaml-language-server: $schema=settings.schema.json\n")
        held = yaml.safe_load(path.read_text())
        assert check(held) and not check(held | {"cauton": 0.1}) and not check(held | {"caution": -1})


def test_a_package_that_cannot_register_is_named_in_one_line(echo, tmp_path, monkeypatch, capsys):
    (echo / "entry_points.txt").write_text("[mmsa_pymarl]\necho_game = echo_game:registr\n")
    monkeypatch.chdir(tmp_path)
    assert main.main(["--config=qmix", "--env-config=echo"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: echo-game cannot register what it has") and said.count("\n") == 1


def test_runs_are_a_frame(tmp_path, capsys):
    pytest.importorskip("pandas")
    study(tmp_path, algs=("iql", "qmix"), seeds=2, evaluations=3, lr=0.5)
    (tmp_path / "sacred" / "Foraging-5x5-2p-1f-v3" / "qmix" / "2" / "metrics.json").write_text("{")
    with pytest.warns(UserWarning, match="qmix/2 is left out: metrics.json cannot be read"):
        frame = load_runs(tmp_path, metrics=["test_return_mean"], settings=["lr"])
    assert len(frame) == 3 * 3 and set(frame["lr"]) == {0.5} and frame["time"].dt.tz is not None
    means = frame.groupby(["algorithm", "t_env"])["value"].mean()
    assert means["qmix"].iloc[-1] > means["iql"].iloc[-1] and set(frame["seed"]) == {1, 2}
    out = tmp_path / "r.csv"
    assert mmsa(["export-results", str(tmp_path), "--metric", "episode", "--out", str(out)]) == 0
    assert "note: " in (said := capsys.readouterr().out) and said.endswith("r.csv: 6 rows\n")
    assert out.read_text().startswith("run,task,algorithm,seed,status,metric,t_env,value,time\n")
    assert mmsa(["export-results", str(tmp_path), "--metric", "epsode", "--out", str(out)]) == 2
    assert mmsa(["export-results", str(tmp_path), "--out", "r.xls"]) == 2
    assert "did you mean episode" in (said := capsys.readouterr().err) and "ends with .csv or .parquet" in said


def test_parquet_gives_back_the_frame(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    study(tmp_path, algs=("iql", "qmix"), seeds=2, evaluations=3)
    out = tmp_path / "r.parquet"
    assert mmsa(["export-results", str(tmp_path), "--metric", "episode", "--out", str(out)]) == 0
    pandas.testing.assert_frame_equal(pandas.read_parquet(out), load_runs(tmp_path, metrics=["episode"]))


def test_every_command_has_its_help(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            mmsa([name, "--help"])
        assert ended.value.code == 0 and "usage: " in capsys.readouterr().out
    assert mmsa(["--help"]) == 0 and all(f"  {name} " in capsys.readouterr().out for name in ["train"])
    assert mmsa(["trian"]) == 2 and "did you mean train" in capsys.readouterr().err


def test_a_module_that_has_the_name_of_a_room_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "utils", type(sys)("utils"))
    with pytest.raises(ImportError, match="another module of this name was imported before it"):
        mmsa_pymarl._find_rooms()
