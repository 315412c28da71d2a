"""`checkpoint_transfer`: a new run takes what fits of another task's or algorithm's networks, and says what."""

import pytest
import torch as th
from tiny_runs import LBF, play, read, settings_of, words

import main
from training.checkpoint import find_checkpoint, load_checkpoint

OTHER = {"env_args.key": "Foraging-5x5-3p-1f-v3"}  # another agent: other inputs, as many actions


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return play("qmix", "lbf", tmp_path_factory.mktemp("teacher"))


def tensors_of(folder):
    return load_checkpoint(find_checkpoint(str(folder)))[0]


def first_steps(folder):
    return read(folder, "metrics.json")["test_return_mean"]["steps"][0]


def test_every_layer_that_fits_is_taken_and_told_and_the_rest_begins_anew(teacher, tmp_path, capsys):
    settings = {"checkpoint_path": str(teacher), "checkpoint_transfer": "True", "lr": "1e-12", "t_max": "60"}
    run = play("qmix", "lbf", tmp_path, **settings, **OTHER)
    there, here = tensors_of(teacher), tensors_of(run)
    told = read(run, "info.json")["transfer"]
    assert "agent.encoder.rnn" in told["taken"] and "agent.fc2" in told["taken"]
    inputs = [there["trained.agent.encoder.fc1.weight"].shape[1], here["trained.agent.encoder.fc1.weight"].shape[1]]
    assert told["not_taken"]["agent.encoder.fc1"] == f"64x{inputs[0]} there, 64x{inputs[1]} here"
    for part in told["taken"]:
        names = [name for name in here if name.rpartition(".")[0] == f"trained.{part}"]
        assert names
        for name in names:
            th.testing.assert_close(here[name], there[name], rtol=0, atol=1e-6)
            target = name.replace("trained.", "target.", 1)
            th.testing.assert_close(here[target], there[name], rtol=0, atol=1e-6)
    parts = {name.rpartition(".")[0].removeprefix("trained.") for name in here if name.startswith("trained.")}
    assert parts == {*told["taken"], *told["not_taken"]} and not {*told["taken"]} & {*told["not_taken"]}
    assert first_steps(run) == 0
    printed = capsys.readouterr().err + (run / "cout.txt").read_text()
    assert "agent.encoder.rnn" in printed and "agent.encoder.fc1 (64x" in printed
    assert main.main([f"resume={run}", "with", "t_max=120"]) == 0
    assert read(run, "info.json")["transfer"] == told


def test_another_algorithm_takes_the_agents(teacher, tmp_path):
    run = play("vdn", "lbf", tmp_path, checkpoint_path=str(teacher), checkpoint_transfer="True", t_max="40")
    told = read(run, "info.json")["transfer"]
    assert {part.split(".")[0] for part in told["taken"]} == {"agent"} and not told["not_taken"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"checkpoint_transfer": "True"}, "checkpoint_transfer=True needs checkpoint_path"),
        ({"checkpoint_transfer": "True", "rnn_hidden_dim": "9", "hypernet_embed": "9", "mixing_embed_dim": "9",
          "env_args.key": "Foraging-5x5-3p-1f-v3", "checkpoint_path": "{teacher}"}, "nothing of"),
        ({"checkpoint_path": "{teacher}", **OTHER}, "checkpoint_transfer=True for what fits"),
        ({"checkpoint_path": "{teacher}", "t_max": "100"}, "take a t_max above"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(teacher, settings, says, tmp_path, capsys):
    given = {key: value.format(teacher=teacher) for key, value in settings.items()}
    capsys.readouterr()
    results = {"local_results_path": str(tmp_path / "results")}
    assert main.main(words("qmix", "lbf", settings_of("lbf") | LBF | results | given)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error
    assert not (tmp_path / "results").exists()
