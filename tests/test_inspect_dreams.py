"""The report on recurrent world models: rows against a slow form, agreement, calibration, files, mistakes."""

import json

import numpy as np
import pytest
import torch as th
from tiny_runs import DREAMS, assert_refused, play

import inspect_world_model
import record
from envs import make_env
from training.reopen import ONE_HERE, reopen
from world_model_report.collect import fresh_episodes
from world_model_report.dream_lookahead import DreamLookahead, always_alike
from world_model_report.dream_report import CAPTIONS
from world_model_report.files import files_of

SHORT = DREAMS | {"t_max": "120", "test_interval": "1000", "save_model_interval": "1000"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return play("dmawm", "lbf", tmp_path_factory.mktemp("runs"), **SHORT)


@pytest.fixture(scope="module")
def look(folder):
    run = reopen(str(folder), inspect_world_model.CONFIG_DIR, ONE_HERE)
    batch, _ = fresh_episodes(run, 4, 1.0, seed=3)
    run.close()
    th.manual_seed(0)
    return DreamLookahead(run.learner, batch, context=3, horizon=5)


def test_a_row_is_foreseen_from_where_it_says_and_compared_with_what_came(look):
    lengths = look.filled.sum(dim=1)
    for j, ahead in enumerate(look.ahead, start=1):
        rows = {(e, t) for e, length in enumerate(lengths.tolist()) for t in range(2, length - j)}
        assert set(zip(ahead.episode.tolist(), ahead.row.tolist(), strict=True)) == rows
        for m, (e, t) in enumerate(zip(ahead.episode.tolist(), ahead.row.tolist(), strict=True)):
            assert ahead.real.obs[m].equal(look.segment.obs[e, t + j])
            assert ahead.real.reward[m].equal(look.segment.reward[e, t + j])
    assert len(look.ahead) == min(5, int(lengths.max()) - 3)


def test_padding_is_never_a_real_row(look):
    assert look.segment.obs[~look.filled].eq(0).all()
    ends = look.filled.sum(dim=1) - 1
    assert all(look.segment.reward[e, t + 1 :].eq(0).all() for e, t in enumerate(ends.tolist()))


def test_numbers_that_agents_see_alike_are_found(look):
    """On a 5x5 grid both see the food's place and level, and each sees itself first."""
    i, c, k, d, sign, spread = look.seen_alike
    assert (sign == 1).all()
    pairs = set(zip(c.tolist(), d.tolist(), strict=True))
    moving = {n for n in range(9) if look.segment.obs[look.filled][:, 0, n].std() > 0}
    assert {(n, n) for n in {0, 1} & moving} <= pairs and {(3, 6), (4, 7)} <= pairs
    assert set(i.tolist()) == {0} and set(k.tolist()) == {1} and (spread > 0).all()
    apart = look.disagreement(look.ahead[0])
    assert apart["model"].shape == apart["shuffled"].shape == (len(look.ahead[0].row),)


def test_an_allys_place_is_seen_by_both_with_opposite_signs(look):
    """One's place as the other sees it, x - y, is minus the other's place as one sees it."""

    class Two:
        filled, segment = look.filled, look.segment._replace(obs=th.rand(*look.filled.shape, 2, 3))

    place = th.rand(*look.filled.shape)
    Two.segment.obs[..., 0, 1], Two.segment.obs[..., 1, 2] = place, -place
    Two.segment.obs[0, 0, 0, 1] = Two.segment.obs[0, 0, 1, 2] = 0.0  # out of sight: no sign
    i, c, k, d, sign, _ = (x.tolist() for x in DreamLookahead.seen_alike.func(Two))
    assert (i, c, k, d, sign) == ([0], [1], [1], [2], [-1.0])
    ahead = look.ahead[0]._replace(obs=Two.segment.obs[look.ahead[0].episode, look.ahead[0].row])
    Two.seen_alike = DreamLookahead.seen_alike.func(Two)
    assert DreamLookahead.disagreement(Two, ahead)["model"].max() == 0
    assert DreamLookahead.disagreement(Two, ahead)["shuffled"].mean() > 0.3
    assert always_alike(th.tensor([[1.0, 2.0], [3.0, 4.0]]), th.tensor([[2.0, 1.0], [4.0, 3.0]])) == [(0, 1), (1, 0)]


def test_a_perfect_model_has_no_error_and_agrees(look):
    ahead = look.ahead[1]
    perfect = ahead._replace(obs=ahead.real.obs, reward=ahead.real.reward, goes_on=ahead.real.goes_on)
    assert look.disagreement(perfect)["model"].max() == 0
    kept, look.ahead = look.ahead, [perfect]
    found = {(e.quantity, e.predictor): e.mean for e in look.estimates()}
    said = look.calibration()
    look.ahead = kept
    assert found["obs_error", "model"] == found["reward_error", "model"] == found["goes_on_error", "model"] == 0
    assert found["obs_error", "keep"] > 0 and found["obs_error", "mean"] > 0
    assert all(mean == real for mean, real, _ in said)


def test_a_report_is_a_page_pictures_and_numbers(folder, tmp_path, capsys):
    out = tmp_path / "report"
    argv = [str(folder), "--episodes", "4", "--context", "2", "--horizon", "5", "--epsilon", "1", "--out", str(out)]
    assert inspect_world_model.main(argv) == 0
    assert {path.name for path in out.iterdir()} == set(files_of(CAPTIONS))
    numbers = json.loads((out / "report.json").read_text())
    assert numbers["metrics"]["reconstruction_error"] > 0 and numbers["facts"]["rows of context"] == 2
    assert "For observations the model's squared error" in capsys.readouterr().out


def test_episodes_shorter_than_the_context_are_told(folder, capsys):
    assert_refused(
        lambda *argv: inspect_world_model.main(list(argv)), folder, ["{folder}", "--episodes", "1", "--context", "50"],
        "smaller --context", capsys,
    )  # fmt: skip


def test_observations_are_drawn_whatever_they_hold():
    env = make_env("lbf", {"key": "Foraging-2s-8x8-2p-2f-coop-v3", "valid_actions_only": False,
                           "common_reward": True, "episode_limit": 5})  # fmt: skip
    env.reset(0)
    picture = env.render_observation(env.get_obs().astype(np.float32))
    assert picture.shape == (200, 200, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 5
    odd = np.random.default_rng(0).normal(scale=9, size=(2, 12))
    odd[0, 3] = np.nan
    assert env.render_observation(odd).shape == picture.shape


def test_films_show_probabilities(folder, tmp_path, capsys):
    assert record.main([str(folder), "--episodes", "1", "--out", str(tmp_path / "film")]) == 0
    assert {path.suffix for path in (tmp_path / "film").iterdir()} == {".gif", ".mp4"}
