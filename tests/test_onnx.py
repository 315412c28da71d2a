"""Agents in an ONNX file answer as they do in PyTorch, through whole episodes, memory and last actions included."""

import numpy as np
import pytest
from tiny_runs import DREAMS, play

import deployment.onnx_export
from deployment.agents import load_agents
from mmsa_pymarl.cli import main as mmsa

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
SHORT = {"t_max": "24", "batch_size": "4", "test_nepisode": "1", "test_interval": "24", "device": "cpu"}
OWN = {"share_parameters": "false", "use_rnn": "true"}
METHODS = {
    "vdn": {}, "mmsa": {}, "mappo": {}, "vdn own": OWN, "vdn forgets": {"use_rnn": "false"}, "dmawm": DREAMS,
    "mabl": DREAMS, "dreamer": DREAMS, "set_qmix": {}, "hpn_qmix": {}, "mmsa_hpn": {}, "smmae": {},
    "coma": {}, "qplex": {},
}  # fmt: skip


def assert_plays_alike(folder, out):
    """Play made-up episodes with a file, as docs/use.md shows it, beside the agents themselves."""
    agents, session = load_agents(folder), onnxruntime.InferenceSession(out)
    info, rng = agents.info, np.random.default_rng(3)
    wanted = {each.name: each.shape for each in session.get_inputs()}
    assert session.get_modelmeta().custom_metadata_map["algorithm"] == agents.algorithm
    for _ in range(2):
        agents.reset()
        carried = {name: np.zeros(shape, np.float32) for name, shape in wanted.items() if name in ("last", "memory")}
        for _ in range(8):
            obs = rng.integers(-1, 5, size=(info.n_agents, info.obs_size)).astype(np.float32)
            avail = rng.random((info.n_agents, info.n_actions)) < 0.7
            avail[:, 0] |= info.action_space.kind != "continuous"
            given = {"obs": obs, "avail": avail} | carried
            actions, last, memory = session.run(None, {name: given[name] for name in wanted})
            np.testing.assert_allclose(actions, agents.act(obs, avail), atol=1e-5)
            if "memory" in wanted:
                np.testing.assert_allclose(memory, agents._hidden[0].numpy(), atol=1e-5)
            carried = {name: value for name, value in (("last", last), ("memory", memory)) if name in wanted}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "mmsa" else pytest.mark.slow) for name in METHODS]
)
def test_a_file_answers_as_its_agents(name, tmp_path, capsys):
    folder = play(name.split()[0], "lbf", tmp_path, **SHORT | METHODS[name])
    capsys.readouterr()
    assert mmsa(["export", str(folder), "--out", str(tmp_path / "a.onnx")]) == 0, capsys.readouterr().err
    assert "answers as the agents do, to " in capsys.readouterr().out
    assert_plays_alike(folder, tmp_path / "a.onnx")


@pytest.mark.slow
def test_torques_stay_within_their_bounds(tmp_path):
    pytest.importorskip("mujoco")
    settings = {"env_args.scenario": "Ant", "env_args.agent_conf": "2x4", "env_args.action_space": "continuous"}
    folder = play("mappo", "mamujoco", tmp_path, **SHORT | settings | {"env_args.episode_limit": "6"})
    assert mmsa(["export", str(folder), "--out", str(tmp_path / "a.onnx")]) == 0
    assert_plays_alike(folder, tmp_path / "a.onnx")


def test_what_cannot_act_alone_is_refused_and_a_file_that_differs_is_not_written(tmp_path, capsys, monkeypatch):
    folder = play("mamba", "lbf", tmp_path / "a", **SHORT | DREAMS)
    assert mmsa(["export", str(folder), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "mamba is not exported: what one of its agents knows hangs on" in capsys.readouterr().err
    folder = play("vdn", "lbf", tmp_path / "b", **SHORT)
    monkeypatch.setattr(deployment.onnx_export, "_differs", lambda *_: 2e-5)
    assert mmsa(["export", str(folder), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "would differ from the agents' by 2e-05" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()
