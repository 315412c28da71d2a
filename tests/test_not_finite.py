"""Numbers that are NaN or infinite stop a run before the optimiser's step, and are named and kept."""

import math
import re
from pathlib import Path

import pytest
import torch as th
from fixtures_mmsa import make_batch, make_learner
from safetensors import safe_open
from tiny_runs import TINY, read, settings_of, words

import main
from envs.matrix_game import MatrixGameEnv
from learners import value_learner
from learners.not_finite import NotFiniteError
from settings import resolve
from training.assembly import build
from training.checkpoint import find_checkpoint, load_checkpoint
from training.loop import play_round
from training.resuming import save


def in_the_reward(learner, batch):
    batch.array("reward")[1, 0] = math.nan


def in_an_observation(learner, batch):
    batch.array("obs")[0, 1, 0, 0] = math.inf


def in_a_parameter(learner, batch):
    with th.no_grad():
        next(learner.agent.parameters())[0, 0] = math.nan


def in_a_loss(learner, batch):
    """A loss that is infinite and passes no gradient on."""
    losses = learner.losses

    def spoilt(rows):
        found, metrics = losses(rows)
        return found | {"loss_spoilt": th.tensor(math.inf)}, metrics

    learner.losses = spoilt


def in_a_gradient(learner, batch):
    """A gradient that is NaN, of losses that are not."""
    learner.parameters[-1].register_hook(lambda gradient: gradient * math.nan)


PLACES = {
    in_the_reward: "batch.reward", in_an_observation: "batch.obs", in_a_parameter: "agent.",
    in_a_loss: "loss_spoilt", in_a_gradient: "gradient of ",
}  # fmt: skip


@pytest.mark.parametrize("spoil", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_the_step_is_not_taken_and_the_first_tensor_is_named(alg, spoil):
    learner, batch = make_learner(alg), make_batch()
    for step in range(2):
        learner.train(batch, t_env=step, episode_num=step)
    spoil(learner, batch)
    before = {name: tensor.clone() for name, tensor in learner.state_tensors().items()}
    with pytest.raises(NotFiniteError) as caught:
        learner.train(batch, t_env=2, episode_num=2)
    assert caught.value.names[0].startswith(PLACES[spoil])
    assert not caught.value.tensor.isfinite().all()
    assert (caught.value.update, caught.value.batch) == (2, batch) and learner.updates == 2
    for name, tensor in learner.state_tensors().items():
        assert th.equal(tensor.nan_to_num(nan=7), before[name].nan_to_num(nan=7)), name


class RecordedOnTheCPU:
    """What `GraphedUpdate` does, without a graph."""

    def __init__(self, update, stopped):
        self.update, self.stopped, self.batch = update, stopped, None

    def __call__(self, batch):
        if self.stopped == 0:
            self.batch = batch
        self.figures = self.update(self.batch)
        return self.figures


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_an_update_that_waits_for_nothing_takes_no_step_either_and_is_named_later(alg, monkeypatch):
    monkeypatch.setattr(value_learner, "GraphedUpdate", RecordedOnTheCPU)
    graph, eager = (make_learner(alg, cuda_graph=recorded, learner_log_interval=100) for recorded in (True, False))
    good, spoilt = make_batch(), make_batch(seed=1)
    in_the_reward(graph, spoilt)
    th.manual_seed(0)
    for step, batch in enumerate([good, make_batch(seed=2), spoilt, good, good], start=1):
        graph.train(batch, t_env=step, episode_num=0)
    th.manual_seed(0)
    for step, batch in enumerate([good, make_batch(seed=2)], start=1):
        eager.train(batch, t_env=step, episode_num=0)
    tensors = eager.state_tensors()
    assert all(th.equal(tensor, tensors[name]) for name, tensor in graph.state_tensors().items())
    for noticing in (graph.check_finite, lambda: graph.train(good, t_env=200, episode_num=0)):
        with pytest.raises(NotFiniteError) as caught:
            noticing()
        assert (caught.value.update, caught.value.batch) == (2, spoilt)
        assert caught.value.names[0] == "batch.reward"
    graph.take_update(good)
    assert graph.not_taken == 5
    assert all(th.equal(tensor, tensors[name]) for name, tensor in graph.state_tensors().items())


def test_finite_numbers_pass_and_weights_that_are_not_are_never_saved():
    learner = make_learner("qmix")
    learner.train(make_batch(), t_env=1, episode_num=1)
    learner.check_finite()
    learner.optimiser.state_dict()["state"][0]["exp_avg_sq"][0] = math.inf
    with pytest.raises(NotFiniteError, match=r"optimiser\.0\.exp_avg_sq") as caught:
        learner.check_finite()
    assert caught.value.batch is None


def test_a_checkpoint_is_not_written_from_them(tmp_path):
    run = build(resolve("qmix", "matrix_game", settings_of("matrix_game"), main.CONFIG_DIR))
    save(run, tmp_path)
    in_a_parameter(run.learner, None)
    play_round(run)
    with pytest.raises(NotFiniteError, match=r"trained\.agent\."):
        save(run, tmp_path)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    run.close()


@pytest.fixture
def spoilt_game(tmp_path, monkeypatch):
    """From some step on, a game whose rewards are finite, and their squares are not."""
    monkeypatch.chdir(tmp_path)
    step, steps = MatrixGameEnv.step, []

    def spoilt(env, actions):
        steps.append(1)
        reward, *rest = step(env, actions)
        return 3e38 if len(steps) > 150 else reward, *rest

    monkeypatch.setattr(MatrixGameEnv, "step", spoilt)


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_a_run_ends_with_one_line_and_keeps_what_is_needed_to_look_into_it(alg, spoilt_game, capsys):
    assert main.main(words(alg, "matrix_game", TINY)) == 1
    err = capsys.readouterr().err
    said = re.fullmatch(
        r"error: update (\d+) at t_env (\d+) met NaN or infinity in loss_td \(and \d+ tensors more\) and was not "
        r"taken; (\S+) has its batch and networks, (\S+) is the last good checkpoint; .*\n", err,
    )  # fmt: skip
    assert said, err
    update, t_env, kept, checkpoint = said.groups()
    folder = Path(f"results/sacred/one_step/{alg}/1")
    assert read(folder, "run.json")["status"] == "FAILED"
    told = read(folder, "info.json")["diverged"]
    assert (told["t_env"], told["update"], told["not_finite"][0]) == (int(t_env), int(update), "loss_td")
    assert checkpoint == str(find_checkpoint(str(folder)))
    assert all(tensor.isfinite().all() for tensor in load_checkpoint(Path(checkpoint))[0].values())
    with safe_open(kept, "pt") as file:
        assert file.metadata()["update"] == update and file.metadata()["t_env"] == t_env
        reward = file.get_tensor("batch.reward")
        assert reward.shape[0] == 8 and reward.isfinite().all() and reward.max() > 1e38
        assert not file.get_tensor("offending").isfinite().all()
        networks = {name for name in file.keys() if name.startswith("trained.")}
        assert networks and all(file.get_tensor(name).isfinite().all() for name in networks)


def test_where_a_run_diverged_is_forgotten_when_it_goes_on(spoilt_game, monkeypatch):
    step = MatrixGameEnv.step
    assert main.main(words("qmix", "matrix_game", TINY)) == 1
    monkeypatch.setattr(MatrixGameEnv, "step", lambda env, actions: (1.0, *step(env, actions)[1:]))
    assert main.main(["resume=results/sacred/one_step/qmix/1"]) == 0
    assert "diverged" not in read(Path("results/sacred/one_step/qmix/1"), "info.json")


def test_a_reward_that_is_nan_ends_a_run_where_it_enters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    step = MatrixGameEnv.step
    monkeypatch.setattr(MatrixGameEnv, "step", lambda env, actions: (math.nan, *step(env, actions)[1:]))
    assert main.main(words("qmix", "matrix_game", TINY)) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: the environment's reward is nan for step 1 of the episode of seed \d+ .*\n", err), err


def test_the_checks_change_no_figure():
    """The clipped step is Torch's own `clip_grad_norm_`, bit for bit."""
    learner, other = make_learner("qmix", grad_norm_clip=0.01), make_learner("qmix", grad_norm_clip=0.01)
    batch = make_batch()
    for step in range(3):
        learner.train(batch, t_env=step, episode_num=0)
        losses, _ = other.losses(value_learner.EpisodeRows(batch))
        other.optimiser.zero_grad()
        sum(losses.values()).backward()
        th.nn.utils.clip_grad_norm_(other.parameters, 0.01)
        other.optimiser.step()
    tensors = other.state_tensors()
    assert all(th.equal(tensor, tensors[name]) for name, tensor in learner.state_tensors().items())
