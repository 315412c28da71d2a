"""A resumed run is the run that never stopped: figures, episodes and weights, bit for bit."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch as th
from tiny_runs import DREAMS, play, read, settings_of, words

import main
from components.replay_buffer import ReplayBuffer
from settings import find_run, resolve, resumed_settings
from training.assembly import build
from training.checkpoint import find_checkpoint, load_checkpoint
from training.going_on import go_on
from training.loop import learn, play_round
from training.replay_files import add_episodes, forget_episodes, read_episodes
from training.resuming import save
from utils.errors import UserError
from utils.random_state import restore_random

SAVES = {"save_model_interval": "60"}


def figures(folder):
    """Everything logged that does not hang on the machine's speed."""
    metrics = read(folder, "metrics.json").items()
    return {k: (v["steps"], v["values"]) for k, v in metrics if not k.startswith("time_") and k != "steps_per_second"}


def weights(folder):
    return load_checkpoint(find_checkpoint(str(folder)))[0]


def same_run(one, other):
    assert figures(one) == figures(other)
    assert (one / "eval_episodes.csv").read_text() == (other / "eval_episodes.csv").read_text()
    assert weights(one).keys() == weights(other).keys()
    assert all(th.equal(value, weights(other)[name]) for name, value in weights(one).items())
    assert load_checkpoint(find_checkpoint(str(one)))[1] == load_checkpoint(find_checkpoint(str(other)))[1]


def stop_after(folder, checkpoint_number):
    """Make a finished run look like one that died: later checkpoints gone, everything else as it was at the end."""
    steps = sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name[2:]))
    for path in steps[checkpoint_number + 1 :]:
        shutil.rmtree(path)
    status = folder / "run.json"
    status.write_text(status.read_text().replace("COMPLETED", "RUNNING"))


@pytest.mark.parametrize(("alg", "env", "runner"), [
    ("qmix", "lbf", "vector"),
    ("mmsa", "lbf", "vector"),
    ("mmsa", "lbf", "parallel"),
    ("mmsa_paper", "matrix_game", "vector"),
    *((alg, "matrix_game", "vector") for alg in ("qplex", "cw_qmix", "qtran", "cia")),
    pytest.param("qmix", "lbf", "parallel", marks=pytest.mark.slow),
    pytest.param("mmsa_paper", "matrix_game", "parallel", marks=pytest.mark.slow),
])  # fmt: skip
def test_training_in_two_parts_is_training_in_one(alg, env, runner, tmp_path):
    end, middle = ("300", "150") if env == "lbf" else ("128", "64")  # a game of one step learns as often as it steps
    whole = play(alg, env, tmp_path / "whole", runner=runner, t_max=end, **SAVES)
    half = play(alg, env, tmp_path / "half", runner=runner, t_max=middle, **SAVES)
    assert main.main([f"resume={half}", "with", f"t_max={end}"]) == 0
    assert figures(half)["return_mean"] == figures(whole)["return_mean"]
    # the first part evaluates and saves once more, where it ends
    at_end = {int(row["t_env"]) for row in rows(half)} - {int(row["t_env"]) for row in rows(whole)}
    assert len(at_end) <= 1
    assert [row for row in rows(half) if int(row["t_env"]) not in at_end] == rows(whole)
    one, other = weights(half), weights(whole)
    assert all(th.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("alg", ["ow_qmix", "mbvd"])
def test_a_learner_of_its_own_goes_on_where_it_stopped(alg, tmp_path):
    """As above, for learners alike but for a weight, or for their settings: shorter."""
    small = SAVES | {"rnn_hidden_dim": "8", "batch_size_run": "8"}
    whole = play(alg, "matrix_game", tmp_path / "whole", t_max="64", **small)
    half = play(alg, "matrix_game", tmp_path / "half", t_max="40", **small)
    assert main.main([f"resume={half}", "with", "t_max=64"]) == 0
    one, other = weights(half), weights(whole)
    assert one.keys() == other.keys() and all(th.equal(one[name], other[name]) for name in other)


def rows(folder):
    with (folder / "eval_episodes.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("alg", "settings"),
    [
        ("vdn", {"standardise_rewards": "True", "use_rnn": "False", "evaluation_epsilon": "0.3"}),
        ("mmsa_paper", {}),
        ("qmix", {"epsilon_repeat": "2", "target_update_tau": "0.1", "rewarded_share": "0.25"}),
        ("vdn", {"weight_decay": "0.1", "layer_norm": "True"}),
        ("mappo", {"standardise_rewards": "True", "use_rnn": "False"}),
        ("mmsa", {"threads": "2", "wm_interval": "2"}),
        ("mmsa", {"autocast": "bfloat16"}),
        *((alg, {}) for alg in ("hpn_qmix", "hpn_vdn", "set_qmix", "mmsa_hpn", "maser", "smmae")),
        ("dmawm", DREAMS | {"advantage_scale": "range", "rewarded_share": "0.5", "buffer_size": "1000",
                            "entropy_anneal": "0.9"}),
    ],
)
def test_a_run_that_died_goes_on_as_if_it_had_not(alg, settings, tmp_path):
    whole = play(alg, "lbf", tmp_path / "whole", t_max="180", **SAVES, **settings)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 1)
    with (died / "eval_episodes.csv").open("a") as file:
        file.write("179,1,0.5")  # half a line, as a killed process leaves it
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)
    assert read(died, "run.json")["status"] == "COMPLETED"
    (again,) = read(died, "info.json")["resumed"]
    assert 0 < again["t_env"] < 180


def test_a_small_replay_that_wraps_round_comes_back_in_its_order(tmp_path):
    settings = settings_of("matrix_game", batch_size="4", batch_size_run="3", buffer_size="7", local_results_path="r")
    settings = resolve("qmix", "matrix_game", settings, main.CONFIG_DIR)
    run = build(settings)
    for _ in range(7):
        play_round(run)
        learn(run)
        save(run, tmp_path)
    again = go_on(tmp_path, settings)
    assert again.experience.inserted == 21 and len(again.experience.episodes) == 7
    assert all(th.equal(x, y) for x, y in zip(again.experience.episodes, run.experience.episodes, strict=True))
    for one in (run, again):
        play_round(one)
        learn(one)
    tensors = run.learner.state_tensors()
    assert all(th.equal(value, tensors[name]) for name, value in again.learner.state_tensors().items())
    assert np.array_equal(run.experience.sample(4).storage, again.experience.sample(4).storage)


def test_a_checkpoint_writes_only_the_episodes_that_came_since_the_last(tmp_path):
    settings = resolve("qmix", "matrix_game", settings_of("matrix_game", buffer_size="20"), main.CONFIG_DIR)
    run, written = build(settings), []
    for _ in range(7):
        play_round(run)
        save(run, tmp_path)
        written.append(sorted(path.name for path in (tmp_path / "replay").iterdir()))
    assert written[0] == ["e_0_4.safetensors"] and written[1] == ["e_0_4.safetensors", "e_4_8.safetensors"]
    # 28 episodes, of which replay keeps the last 20, and the checkpoint before the last needs four more
    assert written[-1] == [f"e_{n}_{n + 4}.safetensors" for n in (12, 16, 20, 24, 4, 8)]


def test_episodes_on_disk_are_what_was_given_and_gaps_are_noticed(tmp_path):
    episodes = [th.randint(256, (n, 5), dtype=th.uint8) for n in (3, 1, 4, 2, 6)]
    add_episodes(tmp_path, 10, episodes[:2])
    add_episodes(tmp_path, 12, [])
    add_episodes(tmp_path, 12, episodes[2:])
    found = read_episodes(tmp_path, 11, 14)
    assert all(th.equal(x, y) for x, y in zip(found, episodes[1:4], strict=True))
    assert list(read_episodes(tmp_path, 15, 15)) == []
    with pytest.raises(UserError, match="episode 15 is missing"):
        list(read_episodes(tmp_path, 11, 16))
    forget_episodes(tmp_path, below=12)
    with pytest.raises(UserError, match="episode 11 is missing"):
        list(read_episodes(tmp_path, 11, 14))
    (tmp_path / "e_12_15.safetensors").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="cannot be read"):
        list(read_episodes(tmp_path, 12, 14))


def test_the_states_of_all_generators_come_back(tmp_path):
    import random

    settings = resolve("mmsa", "matrix_game", settings_of("matrix_game"), main.CONFIG_DIR)
    run = build(settings)
    play_round(run)
    random.gauss(0, 1), np.random.normal(), th.randn(3)
    save(run, tmp_path)
    own = random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand()
    expected = *own, th.randn(3), draws(run.experience)
    random.seed(1), np.random.seed(1), th.manual_seed(1)
    again = go_on(tmp_path, settings)
    restore_random(*again.generators)
    own = random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand()
    found = *own, th.randn(3), draws(again.experience)
    assert found[:4] == expected[:4] and th.equal(found[4], expected[4]) and found[5] == expected[5]


def draws(buffer: ReplayBuffer):
    return buffer._rng.integers(1000, size=5).tolist()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["resume=nowhere"], "no run here"),
        (["resume=latest"], "no run in results"),
        (["resume={run}"], "has trained its 200 steps"),
        (["resume={run}", "with", "t_max=100"], "to train on: resume="),
        (["continue={run}"], "take a t_max above"),
        (["evaluate={run}/replay"], "evaluate={run}/replay: no run here"),
        (["resume={run}", "with", "lr=0.5"], "keeps its settings"),
        (["resume={run}", "with", "t_max=ten"], "t_max=ten"),
        (["resume={run}/checkpoints"], "no run here"),
    ],
)
def test_what_cannot_be_resumed_is_answered_in_one_line(argv, says, tmp_path, monkeypatch, capsys):
    folder = play("vdn", results=tmp_path / "r")
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main.main([word.format(run=folder) for word in argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says.format(run=folder) in err and err.count("\n") == 1
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_evaluation_and_a_damaged_replay_cannot_be_resumed(tmp_path, capsys):
    folder = play("vdn", results=tmp_path / "r", save_model_interval="1000000")
    segment = max((folder / "replay").iterdir(), key=lambda path: int(path.stem.split("_")[1]))
    segment.write_bytes(segment.read_bytes()[:-3])
    assert main.main([f"resume={folder}", "with", "t_max=400"]) == 3
    assert "replay" in capsys.readouterr().err
    looked = play("vdn", results=tmp_path / "e", evaluate="true", checkpoint_path=str(folder))
    assert main.main([f"resume={looked}"]) == 2
    assert "was an evaluation" in capsys.readouterr().err


def test_latest_is_the_run_started_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    play("vdn")
    assert main.main(words("iql", "matrix_game", settings_of("matrix_game"))) == 0
    assert find_run("latest", {}, main.CONFIG_DIR) == Path("results/sacred/one_step/iql/1")
    assert main.main(words("vdn", "matrix_game", settings_of("matrix_game", local_results_path="results/demo"))) == 0
    assert find_run("latest", {}, main.CONFIG_DIR) == Path("results/demo/sacred/one_step/vdn/1")
    seen = {"checkpoint_path": "results/sacred/one_step/vdn/1", "evaluate": "True"}
    assert main.main(words("vdn", "matrix_game", settings_of("matrix_game", **seen))) == 0
    assert find_run("latest", {}, main.CONFIG_DIR) == Path("results/demo/sacred/one_step/vdn/1")
    settings = resumed_settings(Path("results/sacred/one_step/vdn/1"), {"t_max": "900"}, main.CONFIG_DIR)
    assert (settings["t_max"], settings["name"], settings["seed"]) == (900, "vdn", 1)


def test_the_archive_of_a_resumed_run_keeps_its_settings(tmp_path):
    folder = play("vdn", results=tmp_path / "r", lr="0.002")
    assert main.main([f"resume={folder}", "with", "t_max=260"]) == 0
    config = json.loads((folder / "config.json").read_text())
    assert (config["lr"], config["t_max"]) == (0.002, 260)
    assert (folder / "cout.txt").read_text().count("archive: ") == 4  # both parts, at their start and end


def test_the_first_return_is_told_once_however_often_a_run_stops(tmp_path):
    whole = play("vdn", "matrix_game", tmp_path / "whole", t_max="100", **SAVES)
    half = play("vdn", "matrix_game", tmp_path / "half", t_max="50", **SAVES)
    assert main.main([f"resume={half}", "with", "t_max=100"]) == 0
    for folder in (whole, half):
        told = json.loads((folder / "metrics.json").read_text())["first_return_t"]
        assert told["steps"] == told["values"] == [told["values"][0]] and 0 < told["values"][0] <= 8
