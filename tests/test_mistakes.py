"""Mistakes on the command line: one line on stderr, exit code 2, nothing written."""

import re
import shutil
from pathlib import Path

import pytest
from processes import WAIT, running
from tiny_runs import MAIN, TINY, play, words

import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


MISTAKES = {
    "unknown key": (["lrr=0.1"], "lrr"),
    "key of another algorithm": (["kl_alpha=0.1"], "kl_alpha"),
    "wrong type": (["t_max=soon"], "t_max"),
    "out of range": (["lr=2"], "lr"),
    "not a choice": (["device=tpu"], "device"),
    "unknown runner": (["runner=paralel"], "parallel"),
    "unknown mac": (["mac=basic"], "basic_mac"),
    "unknown learner": (["learner=qlearner"], "q_learner"),
    "unknown agent": (["agent=rn"], "rnn"),
    "unknown mixer": (["mixer=qmx"], "qmix"),
    "task key": (["env_args.key=Foraging-8x8-2p-v2"], "Foraging"),
    "impossible task": (["env_args.key=Foraging-5x5-2p-90f-v2"], "90 food"),
    "episode runner with 8": (["runner=episode"], "batch_size_run"),
    "small buffer": (["buffer_size=3"], "buffer_size"),
    "evaluate nothing": (["evaluate=True"], "checkpoint_path"),
    "no checkpoint": (["checkpoint_path=nowhere"], "nowhere"),
    "graph without a GPU": (["cuda_graph=True", "device=cpu"], "cuda_graph"),
    "acting by a graph without a GPU": (["acting_graph=True", "device=cpu"], "acting_graph=False"),
    "policies by a graph": (["learner=policy_learner", "mac=policy_mac", "acting_graph=True"], "acting_graph"),
    "random evaluation of a policy": (["learner=policy_learner", "mac=policy_mac", "evaluation_epsilon=0.1"], "values"),
    "policies that repeat": (["learner=policy_learner", "mac=policy_mac", "epsilon_repeat=2"], "epsilon_repeat=null"),
    "repeats that never end": (["epsilon_repeat=1"], "epsilon_repeat"),
    "drawn evaluation of values": (["evaluation_draws=True"], "evaluation_epsilon"),
    "key twice": (["seed=1", "seed=2"], "seed"),
}


def refused(argv, capsys):
    """Check that the command is refused as it should be and return the error's line."""
    before = sorted(Path().rglob("*"))
    assert main.main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and not out
    assert sorted(Path().rglob("*")) == before
    return err


@pytest.mark.parametrize("settings, named", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_leaves_nothing(settings, named, capsys):
    short = [] if settings[0].startswith("t_max") else ["t_max=100"]  # should it be accepted, fail soon
    assert named in refused(["--config=qmix", "--env-config=lbf", "with", *settings, *short], capsys)


@pytest.mark.parametrize(
    "argv, named",
    [
        (["--config=qmx", "--env-config=lbf"], "qmix"),
        (["--config=qmix", "--env-config=lbff"], "lbf"),
        (["--config=qmix"], "--env-config"),
        (["--config=qmix", "--env-config=lbf", "lr=0.1"], "with"),
    ],
)
def test_a_mistaken_command_is_one_line_and_leaves_nothing(argv, named, capsys):
    assert named in refused(argv, capsys)


@pytest.mark.parametrize(
    "alg, settings, named",
    [
        ("vdn", {}, "algorithm"),
        ("qmix", {"env_args.key": "two_step"}, "task"),
        ("qmix", {"rnn_hidden_dim": "9"}, "sizes"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(alg, settings, named, capsys):
    folder = play("qmix")
    capsys.readouterr()
    argv = words(alg, "matrix_game", {"checkpoint_path": str(folder), **settings})
    assert named in refused(argv, capsys)


def test_results_that_cannot_be_written_are_refused(capsys):
    Path("taken").write_text("a file where the results should go")
    argv = words("vdn", "matrix_game", TINY | {"local_results_path": "taken"})
    assert "local_results_path=taken" in refused(argv, capsys)


def test_on_a_real_stderr_a_mistake_is_one_line_too():
    with running(MAIN, "--config=qmix", "--env-config=lbf", "with", "mixer=qmx") as process:
        out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("file", "key"),
    [("default", "gamma"), ("default", "test_nepisode"), ("algs/mmsa", "kl_coef"), ("algs/mmsa", "agent_sale_loss")],
)
def test_a_setting_that_a_file_has_lost_is_told_before_anything_is_written(file, key, tmp_path, monkeypatch, capsys):
    shutil.copytree(main.CONFIG_DIR, tmp_path / "config")
    path = tmp_path / "config" / f"{file}.yaml"
    path.write_text(re.sub(rf"^{key}:.*\n", "", path.read_text(), flags=re.MULTILINE))
    monkeypatch.setattr(main, "CONFIG_DIR", tmp_path / "config")
    assert main.main(["--config=mmsa", "--env-config=matrix_game"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: the setting {key} is needed") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_a_world_model_cannot_be_without_memory(capsys):
    assert "use_rnn=False" in refused(words("dreamer", "matrix_game", TINY | {"use_rnn": "False"}), capsys)
