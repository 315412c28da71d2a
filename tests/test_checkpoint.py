"""Checkpoints: whole or not at all, only numbers, and training goes on from them as if it had never stopped."""

import pickle
from pathlib import Path

import pytest
import torch as th
from safetensors.torch import save_file
from tiny_runs import csv_rows, play, read, settings_of

from main import CONFIG_DIR
from settings import resolve
from training.assembly import build
from training.checkpoint import NUMBERS, TENSORS, find_checkpoint, load_checkpoint, save_checkpoint
from training.loop import play_round
from training.resuming import save
from utils.errors import UserError


def tiny_run(alg, env="matrix_game", **settings):
    return build(resolve(alg, env, settings_of(env, batch_size="4", **settings), CONFIG_DIR))


def learn(run, rounds):
    for _ in range(rounds):
        play_round(run)
        run.learner.train(run.experience.sample(run.args.batch_size), run.t_env, run.episode)


def same(one, other):
    return one.keys() == other.keys() and all(th.equal(one[key], other[key]) for key in one)


def some_tensors():
    return {"a": th.randn(3, 2), "b": th.arange(5), "scalar": th.tensor(2.5)}


@pytest.mark.parametrize("alg", ["iql", "vdn", "qmix", "mmsa", "mmsa_paper"])
def test_a_checkpoint_gives_back_every_tensor_and_counter(alg, tmp_path):
    run = tiny_run(alg)
    learn(run, 5)
    path = save(run, tmp_path)
    again = tiny_run(alg, checkpoint_path=str(path), seed="77")
    tensors = run.learner.state_tensors()
    assert any(key.startswith("optimiser.") for key in tensors)
    assert any(key.startswith("target.") for key in tensors)
    assert same(again.learner.state_tensors(), tensors)
    assert again.learner.state_numbers() == run.learner.state_numbers()
    assert (again.t_env, again.episode) == (run.t_env, run.episode)
    assert run.learner.updates == 5 and run.t_env > 0


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_the_next_update_after_loading_is_the_one_that_would_have_come(alg, tmp_path):
    run = tiny_run(alg)
    learn(run, 4)
    again = tiny_run(alg, checkpoint_path=str(save(run, tmp_path)))
    play_round(run)
    batch = run.experience.sample(4)
    for one in (run, again):
        th.manual_seed(0)  # the world model draws
        one.learner.train(batch, run.t_env, run.episode)
    assert same(again.learner.state_tensors(), run.learner.state_tensors())


def test_targets_and_trained_networks_are_saved_apart(tmp_path):
    run = tiny_run("qmix", target_update_interval="1000000")
    learn(run, 3)
    tensors, _ = load_checkpoint(save(run, tmp_path))
    pairs = [(key, "target" + key.removeprefix("trained")) for key in tensors if key.startswith("trained.")]
    assert pairs and any(not th.equal(tensors[one], tensors[other]) for one, other in pairs)


def test_the_last_checkpoint_is_the_one_with_the_largest_number(tmp_path):
    for t_env in (100, 20, 9):
        save_checkpoint(tmp_path / "checkpoints", t_env, some_tensors(), {"t_env": t_env}, {})
    for path in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints" / "t_100"):
        assert find_checkpoint(str(path)).name == "t_100"
    assert find_checkpoint(str(tmp_path / "checkpoints" / "t_9")).name == "t_9"


def test_a_second_checkpoint_of_the_same_step_replaces_the_first(tmp_path):
    save_checkpoint(tmp_path, 5, some_tensors(), {"try": 1}, {})
    tensors = some_tensors()
    save_checkpoint(tmp_path, 5, tensors, {"try": 2}, {})
    loaded, numbers = load_checkpoint(find_checkpoint(str(tmp_path)))
    assert numbers == {"try": 2} and same(loaded, tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["t_5"]


def test_a_partly_written_checkpoint_is_never_picked(tmp_path):
    save_checkpoint(tmp_path, 10, some_tensors(), {}, {})
    with pytest.raises(TypeError):  # it fails between the tensors and the numbers
        save_checkpoint(tmp_path, 20, some_tensors(), {"not JSON": object()}, {})
    (tmp_path / "t_30").mkdir()
    save_file(some_tensors(), tmp_path / "t_30" / TENSORS)
    save_checkpoint(tmp_path, 40, some_tensors(), {}, {}).rename(tmp_path / ".t_40.partial")
    assert find_checkpoint(str(tmp_path)).name == "t_10"
    assert save_checkpoint(tmp_path, 20, some_tensors(), {}, {}).name == find_checkpoint(str(tmp_path)).name


@pytest.mark.parametrize("path", ["nowhere", ".", "t_30", "a_file"])
def test_without_a_checkpoint_the_error_says_what_to_give(tmp_path, path):
    (tmp_path / "t_30").mkdir()
    (tmp_path / "a_file").write_text("{}")
    with pytest.raises(UserError, match=r"no checkpoint here; give .*t_<steps>"):
        find_checkpoint(str(tmp_path / path))


def damage_tensors_cut(path):
    data = (path / TENSORS).read_bytes()
    (path / TENSORS).write_bytes(data[: len(data) // 2])


def damage_tensors_noise(path):
    (path / TENSORS).write_bytes(b"\xff" * 100)


def damage_tensors_gone(path):
    (path / TENSORS).unlink()


def damage_tensors_other(path):
    tensors, _ = load_checkpoint(path)
    tensors.pop(next(key for key in tensors if key.startswith("target.")))
    save_file(tensors, path / TENSORS)


def damage_numbers_cut(path):
    (path / NUMBERS).write_text((path / NUMBERS).read_text()[:-20])


def damage_numbers_binary(path):
    (path / NUMBERS).write_bytes(b"\xff\xfe\x00")


def damage_numbers_empty(path):
    (path / NUMBERS).write_text("{}")


def damage_numbers_list(path):
    (path / NUMBERS).write_text("[1, 2]")


DAMAGES = [value for name, value in list(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_a_one_line_error(tmp_path, damage):
    run = tiny_run("qmix")
    learn(run, 2)
    path = save(run, tmp_path)
    damage(path)
    with pytest.raises(UserError) as caught:
        tiny_run("qmix", checkpoint_path=str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


class Poison:
    """Unpickling it writes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("poison", [pickle.dump, th.save], ids=["pickle", "torch"])
def test_loading_runs_no_code(tmp_path, poison):
    path, trace = save_checkpoint(tmp_path, 1, some_tensors(), {}, {}), tmp_path / "code was run"
    for name in (TENSORS, NUMBERS):
        with (path / name).open("wb") as file:
            poison(Poison(trace), file)
        with pytest.raises(UserError, match="cannot be read"):
            load_checkpoint(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Poison(trace)))
    assert trace.exists()  # the poison works


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_evaluating_a_checkpoint_repeats_its_evaluation_exactly(alg, tmp_path):
    trained = play(alg, "lbf", tmp_path / "trained")
    last = csv_rows(trained)[-3:]
    evaluated = play(alg, "lbf", tmp_path / "again", evaluate="True", checkpoint_path=trained, seed="99")
    assert csv_rows(evaluated) == last
    assert read(evaluated, "run.json")["status"] == "COMPLETED"
    assert not (evaluated / "checkpoints").exists()


def test_training_goes_on_from_a_checkpoint(tmp_path):
    first = play("mmsa", "lbf", tmp_path / "first")
    second = play("mmsa", "lbf", tmp_path / "second", checkpoint_path=first, t_max="400")
    t_start = int(csv_rows(first)[-1]["t_env"])
    assert csv_rows(second)[:3] == csv_rows(first)[-3:]  # the same weights, on the same evaluation episodes
    assert t_start >= 200 and int(csv_rows(second)[-1]["t_env"]) >= 400
    before, after = (load_checkpoint(find_checkpoint(str(folder)))[1] for folder in (first, second))
    assert after["learner"]["updates"] > before["learner"]["updates"] > 0
    assert after["episode"] > before["episode"]
    figures = read(second, "metrics.json")
    assert min(figures["epsilon"]["steps"]) > t_start
    assert max(figures["epsilon"]["values"]) < 0.06  # it does not begin to explore again
    assert figures["episode"]["values"][0] > before["episode"]
