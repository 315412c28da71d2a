"""An archived run is opened again with its own settings and networks, and nothing in it is believed blindly."""

import json
import shutil

import pytest
import torch as th
from tiny_runs import play

import main
from training.checkpoint import find_checkpoint, load_checkpoint
from training.reopen import reopen
from utils.errors import UserError


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    where = tmp_path_factory.mktemp("played")
    return play("mmsa", results=where, lr="0.002", rnn_hidden_dim="16", grad_norm_clip="inf", seed="7")


@pytest.fixture
def folder(played, tmp_path):
    """Return a run's folder that a test may spoil."""
    return shutil.copytree(played, tmp_path / "r" / "sacred" / "two_step" / "mmsa" / "1")


def test_settings_and_networks_are_those_of_the_checkpoint(folder):
    run = reopen(str(folder), main.CONFIG_DIR, {"threads": "2"})
    try:
        config = json.loads((folder / "config.json").read_text())
        for_scripts = {"common_reward", "reward_scalarisation"}
        archived = {k: v for k, v in config.items() if k not in for_scripts}
        opened = {key: getattr(run.args, key) for key in archived}
        changed = {"checkpoint_path", "evaluate", "threads"}
        assert {k: v for k, v in opened.items() if k not in changed} == {
            k: v for k, v in archived.items() if k not in changed
        }
        assert run.args.threads == 2 and run.args.grad_norm_clip == float("inf")
        saved, _ = load_checkpoint(find_checkpoint(str(folder)))
        tensors = run.learner.state_tensors()
        assert tensors.keys() == {name for name in saved if not name.startswith("rng.")}
        assert all(th.equal(tensors[name], saved[name]) for name in tensors)
    finally:
        run.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[1]", "does not name"),
        ('{"name": "mmsa"}', "does not name"),
        ('{"name": "../../etc", "env_config": "lbf"}', "unknown name"),
        ('{"name": "mmsa", "env_config": "matrix_game", "env": "lbf", "lr": "exit()"}', "lr=exit"),
        ('{"name": "mmsa", "env_config": "matrix_game", "surprise": 1}', "surprise"),
    ],
)
def test_a_spoilt_config_is_answered_in_one_line(folder, text, says):
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=says) as answer:
        reopen(str(folder), main.CONFIG_DIR, {})
    assert "\n" not in str(answer.value)


def test_a_checkpoint_away_from_its_archive_is_answered(folder, tmp_path):
    away = tmp_path / "away" / "checkpoints" / "t_1"
    away.parent.mkdir(parents=True)
    find_checkpoint(str(folder)).rename(away)
    with pytest.raises(UserError, match="in their archive"):
        reopen(str(away), main.CONFIG_DIR, {})
