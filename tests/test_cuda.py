"""What runs on a GPU alone: updates and acting as CUDA graphs, replay on the device, and that they change no figure."""

import pytest
import torch as th
from fixtures_mmsa import make_batch, make_learner, padded, shaken
from test_acting_step import EPISODES, VALUES, acted, fewer, macs, same
from tiny_runs import DREAMS, play, read

from learners.cuda_graph import WARM_UP

pytestmark = pytest.mark.skipif(not th.cuda.is_available(), reason="needs a GPU")

MEANS = {"wm_sample": False, "rollout_sample": False}
CONFIGS = [("iql", {}), ("qmix", {}), ("mmsa", MEANS), ("mmsa_paper", MEANS)]


def batches(count):
    """Episodes in batches of one shape."""
    return [padded(make_batch(seed=seed), rows=2).to("cuda") for seed in range(count)]


@pytest.mark.parametrize(("config", "settings"), CONFIGS)
def test_the_recorded_update_is_the_eager_one(config, settings):
    settings = settings | {"learner_log_interval": 1, "target_update_interval": 4, "device": "cuda"}
    eager, graphed = (make_learner(config, **settings, cuda_graph=graph) for graph in (False, True))
    for number, batch in enumerate(batches(WARM_UP + 8)):
        for learner in (eager, graphed):
            learner.train(batch, t_env=number, episode_num=number)
        found, expected = (learner.logger.latest for learner in (graphed, eager))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4), (number, name)
    assert eager.updates == graphed.updates == WARM_UP + 8
    th.testing.assert_close(graphed.state_tensors(), eager.state_tensors(), rtol=1e-3, atol=1e-4)


def test_a_recorded_update_draws_anew_each_time():
    learner = make_learner("mmsa_paper", device="cuda", cuda_graph=True, lr=1e-12, learner_log_interval=1)
    batch, seen = batches(1)[0], set()
    for step in range(WARM_UP + 4):
        learner.train(batch, t_env=step, episode_num=0)
        seen.add(learner.logger.latest["loss_rec"])
    assert len(seen) > WARM_UP + 2


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
def test_a_whole_run_on_the_gpu_is_that_of_the_eager_form(alg, tmp_path):
    runs = [
        play(alg, "lbf", tmp_path / name, device="cuda", **settings)
        for name, settings in {"eager": {}, "graph": {"cuda_graph": "True", "buffer_device": "learner"}}.items()
    ]
    eager, graph = (read(run, "metrics.json") for run in runs)
    assert eager.keys() == graph.keys()
    assert graph["loss_td"]["values"][0] == pytest.approx(eager["loss_td"]["values"][0], rel=1e-3)


@pytest.mark.parametrize("alg", ["dreamer", "mamba", "mabl", "dmawm"])
def test_world_models_learn_on_the_gpu(alg, tmp_path):
    metrics = read(play(alg, "lbf", tmp_path, device="cuda", **DREAMS), "metrics.json")
    for name in ("loss_obs", "loss_kl", "loss_policy", "loss_value", "dream_return"):
        assert th.tensor(metrics[name]["values"]).isfinite().all(), name


@pytest.mark.parametrize("config", VALUES)
@pytest.mark.parametrize("alive", [lambda t: range(EPISODES), fewer], ids=["all", "fewer"])
def test_actions_by_a_recording_are_those_without(config, alive):
    """Over whole rounds, in which episodes end; hidden states too."""
    plain, recording = macs(config, device="cuda")
    for _ in range(2):
        same(acted(recording, alive), acted(plain, alive))
    assert len(recording.acting_step.recorded) == (5 if alive is fewer else 1) and not plain.acting_step.recorded


def test_a_recording_acts_with_weights_that_have_changed():
    plain, recording = macs("mmsa", device="cuda")
    before = acted(recording)
    for mac in (plain, recording):
        th.manual_seed(3)
        shaken(mac.agent)
    after = acted(recording)
    same(after, acted(plain))
    assert any((one != other).any() for one, other in zip(after, before, strict=True))


def test_actions_on_the_gpu_are_those_of_the_cpu():
    here, there = macs()[0], macs(device="cuda")[1]
    actions = [found[::2] for found in (acted(there), acted(here))]  # of hidden states digits differ
    assert sum((one != other).mean() for one, other in zip(*actions, strict=True)) / len(actions[0]) < 0.02


@pytest.mark.parametrize("overlap", ["0", "1"])
def test_a_run_that_acts_by_recordings_is_that_without(overlap, tmp_path):
    """While updates draw on the GPU too, in a thread of their own with overlap=1."""
    settings = {"device": "cuda", "overlap": overlap, "cuda_graph": "True", "buffer_device": "learner"}
    plain, recording = (
        read(play("mmsa", "lbf", tmp_path / record, acting_graph=record, **settings), "metrics.json")
        for record in ("False", "True")
    )
    assert recording["return_mean"]["values"][0] == plain["return_mean"]["values"][0]
    assert recording["loss_td"]["values"][0] == pytest.approx(plain["loss_td"]["values"][0], rel=1e-3)


@pytest.mark.parametrize("alg", ["qmix", "mmsa"])
@pytest.mark.parametrize("graph", ["False", "True"])
def test_updates_in_bfloat16_are_near_those_in_float32(alg, graph):
    settings = {"device": "cuda", "cuda_graph": graph, "learner_log_interval": 1, **(MEANS if alg == "mmsa" else {})}
    found = []
    for kind in ("none", "bfloat16"):
        learner = make_learner(alg, **settings, autocast=kind)
        for number, batch in enumerate(batches(WARM_UP + 3)):
            learner.train(batch, t_env=number, episode_num=0)
        assert all(parameter.dtype == th.float32 for parameter in learner.parameters)
        found.append(learner.logger.latest["loss_td"])
    assert found[1] == pytest.approx(found[0], rel=0.05)
