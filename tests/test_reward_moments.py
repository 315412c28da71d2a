"""`standardise_rewards`: every reward of training counts once, and nothing but what is learnt from changes."""

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import CONFIG_DIR, drifted, make_batch, make_learner, with_garbage
from tiny_runs import play, read, settings_of

from components.episode_rows import EpisodeRows
from learners.reward_moments import MIN_STD, RewardMoments
from learners.side_by_side import SideBySide
from settings import resolve
from training.assembly import build
from training.seeding import Stream, episode_streams


@pytest.mark.parametrize("sizes", [(2,), (3, 1, 0, 40), (7,) * 5])
def test_samples_one_after_the_other_give_the_moments_of_all_at_once(sizes):
    rng = np.random.default_rng(0)
    samples = [rng.normal([1e3, -2.0], [0.5, 30.0], size=(size, 2)) for size in sizes]
    moments = RewardMoments(2, "cpu")
    for sample in samples:
        moments.add(th.from_numpy(sample))
    rewards = np.concatenate(samples)
    np.testing.assert_allclose(moments.mean, rewards.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, rewards.std(axis=0).clip(MIN_STD), rtol=1e-9)
    found = moments.standardised(th.from_numpy(rewards).float())
    plain = (rewards - rewards.mean(axis=0)) / rewards.std(axis=0).clip(MIN_STD)
    assert found.dtype == th.float32
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-3)


def test_rewards_that_are_all_alike_become_zero():
    moments = RewardMoments(1, "cpu")
    moments.add(th.full((50, 1), 0.1))
    assert moments.standardised(th.full((4, 1), 0.1)).abs().max() < 1e-6


def test_a_learner_counts_transitions_that_took_place_and_learns_from_standardised_rewards():
    learner, batch = drifted(make_learner("qmix", standardise_rewards=True)), make_batch()
    learner.note_episodes(with_garbage(batch))
    taken = batch["filled"][:, 1:, 0]
    rewards = batch["reward"][:, :-1][taken]
    th.testing.assert_close(learner.reward_moments.mean, rewards.double().mean(dim=0))
    changed = make_batch()
    changed.array("reward")[:, :-1] = (batch["reward"][:, :-1] - rewards.mean()) / rewards.std(correction=0)
    plain = drifted(make_learner("qmix"))
    plain.load_state(learner.state_tensors(), learner.state_numbers())
    for one, other in zip(learner.losses(EpisodeRows(batch)), plain.losses(EpisodeRows(changed)), strict=True):
        th.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", ["mappo", "coma", "mmsa"])
def test_every_learner_of_rewards_learns_from_the_standardised_ones(config, tmp_path):
    """Rewards that are all larger by as much, and as many times as large, are the same ones then."""
    runs = []
    for scale, shift in ((1.0, 0.0), (4.0, 2.0)):
        settings = settings_of("matrix_game", standardise_rewards="True", wm_sample="False")
        given = {key: text for key, text in settings.items() if key != "wm_sample" or config == "mmsa"}
        run = build(resolve(config, "matrix_game", given, CONFIG_DIR))
        for _ in range(2):
            batch, _ = run.runner.run(run.mac, [episode_streams(1, Stream.TRAIN_EPISODE, k) for k in range(4)], 1.0)
            batch.array("reward")[:, :-1] = batch.array("reward")[:, :-1] * scale + shift
            run.experience.insert_episode_batch(batch)
            run.learner.note_episodes(batch)
        run.learner.learn(run.experience, 100, 8)
        assert run.learner.updates > 0
        runs.append({name: t for name, t in run.learner.state_tensors().items() if name.startswith("trained.")})
        run.close()
    th.testing.assert_close(*runs, rtol=1e-3, atol=1e-4)


def test_processes_that_share_an_update_see_the_same_moments():
    threads = th.get_num_threads()
    learner, batch = drifted(make_learner("qmix", standardise_rewards=True)), make_batch()
    together = SideBySide(learner, 2)
    try:
        for seed in range(2):  # the second time its processes have the learner already
            learner.note_episodes(make_batch(seed=seed))
            losses, _ = together(batch)
            th.testing.assert_close(losses, learner.losses(EpisodeRows(batch))[0], rtol=1e-4, atol=1e-5)
    finally:
        together.close()
        th.set_num_threads(threads)


def test_figures_of_a_run_stay_those_of_the_task(tmp_path):
    scaled = play("qmix", "matrix_game", tmp_path, standardise_rewards="True", epsilon_finish="1.0")
    returns = read(scaled, "metrics.json")["return_mean"]["values"]
    assert all(0 <= value <= 8 for value in returns) and max(returns) > 1  # the game's payoffs
