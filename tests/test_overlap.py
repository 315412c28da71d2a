"""Playing while learning: the lag of the weights, bit for bit the same run by seed and resume, and who is refused."""

import shutil
import signal
import threading
import time
from itertools import pairwise

import pytest
import torch as th
from test_resume import SAVES, figures, same_run, stop_after
from tiny_runs import DREAMS, play, settings_of, words

import main
from settings import resolve
from training.assembly import build
from training.loop import play_round
from training.resuming import restore, save
from utils.errors import RunFailedError
from utils.stopping import Stopped

BIG = DREAMS | {"buffer_size": "1000"}


def built(alg="qmix", **settings):
    given = {"batch_size": "4", "batch_size_run": "4", "overlap": "1", "updates_per_run": "2"} | settings
    settings = settings_of("matrix_game", **given)
    return build(resolve(alg, "matrix_game", settings, main.CONFIG_DIR))


def test_a_round_is_played_with_the_weights_before_the_updates_of_the_round_before(monkeypatch):
    run, used, known = built(), [], []
    act = type(run.mac).select_actions

    def seen(mac, *args, **kwargs):
        used.append({name: value.clone() for name, value in mac.agent.state_dict().items()})
        return act(mac, *args, **kwargs)

    monkeypatch.setattr(type(run.mac), "select_actions", seen)
    for _ in range(4):
        known.append({name: value.clone() for name, value in run.mac.agent.state_dict().items()})
        used.clear()
        play_round(run)
        assert used and all(th.equal(value, weights[name]) for weights in used for name, value in known[-1].items())
    assert [run.learner.updates, run.experience.inserted] == [6, 16]  # two updates after each round but the last
    changed = [any(not th.equal(a[name], b[name]) for name in a) for a, b in pairwise(known)]
    assert changed == [False, True, True]
    run.close()


def test_learning_goes_on_while_a_round_is_played(monkeypatch):
    run = built()
    play_round(run)
    learning, done = threading.Event(), threading.Event()

    def learn(experience, t_env, episode):
        learning.set()
        assert done.wait(30), "the round waits for the learner"

    monkeypatch.setattr(run.learner, "learn", learn)
    play, inserted = run.runner.run, run.experience.inserted

    def played(*args):
        assert learning.wait(30), "the learner waits for the round"
        answer = play(*args)
        assert run.experience.inserted == inserted
        done.set()
        return answer

    monkeypatch.setattr(run.runner, "run", played)
    play_round(run)
    run.close()


@pytest.mark.parametrize(("alg", "settings"), [
    ("qmix", {}),
    ("mmsa", {"standardise_rewards": "True", "buffer_size": "1000"}),  # or the first checkpoint's episodes are gone
    ("dmawm", BIG),
])  # fmt: skip
def test_a_seed_gives_the_same_run_and_so_does_going_on(alg, settings, tmp_path):
    env = "matrix_game" if alg == "mmsa" else "lbf"
    whole = play(alg, env, tmp_path / "whole", overlap="1", **SAVES, **settings)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 1)
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)
    if alg == "qmix":
        assert figures(whole) != figures(play(alg, env, tmp_path / "exact", overlap="0", **SAVES, **settings))


@pytest.mark.parametrize("fault", [Stopped(signal.SIGTERM), RunFailedError("lost")])
def test_a_round_that_is_left_is_played_again_the_same(fault, tmp_path, monkeypatch):
    whole = built()
    for _ in range(4):
        play_round(whole)
    run = built()
    for _ in range(2):
        play_round(run)

    def left(*_):
        time.sleep(0.05)
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(run.runner, "run", left)
        with pytest.raises(type(fault)):
            play_round(run)
    assert run.overlap.ahead and run.learner.updates == 4
    save(run, tmp_path)
    again = built()
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    restore(again, tmp_path, checkpoint)
    for one in (run, again):
        for _ in range(2):
            play_round(one)
        tensors = whole.learner.state_tensors()
        assert all(th.equal(value, tensors[name]) for name, value in one.learner.state_tensors().items())
        assert all(th.equal(x, y) for x, y in zip(one.experience.episodes, whole.experience.episodes, strict=True))
        one.close()
    whole.close()


def test_an_error_of_the_learner_ends_the_round(monkeypatch):
    run = built()
    play_round(run)
    monkeypatch.setattr(run.learner, "learn", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        play_round(run)
    run.close()


def test_policies_learn_from_their_own_rounds_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(words("mappo", "matrix_game", settings_of("matrix_game", overlap="1"))) == 2
    assert "overlap=1 is for methods that learn from replay" in capsys.readouterr().err
