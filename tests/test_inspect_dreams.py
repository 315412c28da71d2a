"""The report on recurrent world models: rows against a slow form, agreement, calibration, files, mistakes."""

import json

import numpy as np
import pytest
import torch as th
from packages import needs
from tiny_runs import DREAMS, assert_refused, play

import inspect_world_model
import record
from components.episode_batch import EpisodeBatch
from envs import make_env
from envs.lbf import LBFEnv
from modules.worlds.contract import each
from recording.imagined_panel import GAP, HEAD, ROW, Told, draw_told
from training.reopen import ONE_HERE, reopen
from world_model_report import dream_lookahead
from world_model_report.collect import fresh_episodes
from world_model_report.dream_lookahead import DreamLookahead, always_alike, segment_of_episodes
from world_model_report.dream_report import CAPTIONS, starts
from world_model_report.files import files_of
from world_model_report.imagined_episode import imagined_episode

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


def test_of_many_rows_every_so_manieth_is_begun_from_and_each_episodes_first(folder, monkeypatch):
    run = reopen(str(folder), inspect_world_model.CONFIG_DIR, ONE_HERE)
    batch, _ = fresh_episodes(run, 4, 1.0, seed=3)
    run.close()
    monkeypatch.setattr(dream_lookahead, "MOST_STARTS", 30)
    look = DreamLookahead(run.learner, batch, context=3, horizon=5)
    lengths = look.filled.sum(dim=1).tolist()
    assert look.every == -(-sum(length - 3 for length in lengths) // 30) > 1
    rows = {(e, t) for e, length in enumerate(lengths) for t in range(2, length - 1, look.every)}
    assert set(zip(look.ahead[0].episode.tolist(), look.ahead[0].row.tolist(), strict=True)) == rows
    assert starts(look) == f"one row of an episode in {look.every}"
    assert len(look.story(look.longest(), 5)[0]) == 5


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


@pytest.fixture
def opened(folder):
    run = reopen(str(folder), record.CONFIG_DIR, ONE_HERE)
    yield run
    run.close()


def changed(batch, name, row):
    """A copy of an episode with other numbers in one row."""
    other = EpisodeBatch(batch.scheme, batch.groups, batch.batch_size, batch.max_seq_length, batch.storage.clone())
    array = other.array(name)
    spread = np.random.default_rng(0).integers(-100, 100, array[:, row].shape)
    array[:, row] = (array[:, row] + 1) % 6 if name == "actions" else spread
    return other


def test_an_imagined_episode_looks_at_its_context_and_at_nothing_later(opened):
    batch, _ = fresh_episodes(opened, 1, 1.0, seed=3)
    with th.no_grad():
        for weights in opened.learner.world.posterior_net.parameters():
            weights.mul_(10)  # so that another observation gives another latent
    told = imagined_episode(opened.learner, batch, context=3, seed=1)
    rows = batch.max_t_filled()
    assert rows > 6 and told.context == 3
    assert [len(x) for x in (told.obs, told.reward, told.goes_on, told.real.obs)] == [rows] * 4
    assert told.real.obs.equal(th.from_numpy(batch.array("obs")[0, :rows]).float())

    def moved(name, row):
        other = imagined_episode(opened.learner, changed(batch, name, row), context=3, seed=1)
        return (other.obs != told.obs).flatten(1).any(dim=1).tolist()

    assert not any(moved("obs", 3))
    seen = moved("obs", 2)
    assert seen[:2] == [False, False] and any(seen[3:])
    for row in (1, 4):
        assert moved("actions", row).index(True) == row + 1


def test_an_imagined_episode_is_what_its_models_step_gives(opened):
    """By hand: the model looks at the first row, and takes its own step after each action."""
    batch, _ = fresh_episodes(opened, 1, 1.0, seed=3)
    told, world = imagined_episode(opened.learner, batch, context=1, seed=7), opened.learner.world
    with th.random.fork_rng(devices=[]), th.no_grad():
        th.manual_seed(7)
        segment, _ = segment_of_episodes(opened.learner, batch[:, : batch.max_t_filled()])
        state = each(lambda x: x[:, 0], world.observe(segment).states)
        assert told.obs[0].allclose(world.obs_of(state)[0], atol=1e-5)
        for row in range(1, len(told.obs)):
            before, state = state, world.imagine_step(state, segment.actions[:, row - 1], None)
            said = world.decode(before, state)
            assert told.obs[row].allclose(world.obs_of(state)[0], atol=1e-5)
            assert told.reward[row].allclose(world.rewards.mean(said.reward)[0], atol=1e-5)
            assert told.goes_on[row].allclose(said.goes_on.sigmoid()[0], atol=1e-5)
    assert told.obs.equal(imagined_episode(opened.learner, batch, context=1, seed=7).obs)
    assert not told.obs.equal(imagined_episode(opened.learner, batch, context=1, seed=8).obs)


@pytest.mark.parametrize("context", [1, 3])
def test_films_show_every_row_as_it_was_observed_and_imagined(opened, context):
    (episode,) = record.play(opened, 1)
    told = imagined_episode(opened.learner, episode.batch, context, seed=episode.result.seed)
    frames, panels = list(record.frames(opened, 1, 4, context)), record.panels_beside(opened, episode, context)
    assert len(frames) == len(told.obs) == len(episode.pictures)
    for row, (frame, picture) in enumerate(zip(frames, episode.pictures, strict=True)):
        sheet = np.asarray(frame.picture)[record.TITLE_HEIGHT :]
        width = picture.shape[1] + panels[row].width
        left, height = (sheet.shape[1] - width) // 2, max(len(picture), panels[row].height)
        down = (height - len(picture)) // 2
        assert np.array_equal(sheet[down : down + len(picture), left : left + picture.shape[1]], picture)
        panel = sheet[(height - panels[row].height) // 2 :, left + picture.shape[1] :]
        for number, obs in enumerate((told.real.obs[row], told.obs[row])):
            drawn = opened.runner.env.render_observation(obs.numpy())
            top = HEAD + number * (HEAD + len(drawn))
            assert np.array_equal(panel[top : top + len(drawn), GAP : GAP + drawn.shape[1]], drawn)


def test_the_panel_says_what_came_beside_what_was_said():
    picture = np.zeros((40, 300, 3), np.uint8)

    def panel(looked=False, reward=(0.25, 0.5), goes_on=(1.0, 1.0)):
        return np.asarray(draw_told(Told(picture, picture, looked, reward, goes_on)))

    plain = panel()
    rows = {
        "heading": panel(looked=True), "reward": panel(reward=(0.25, 0.75)), "goes on": panel(goes_on=(0.5, 1.0)),
        "nothing": panel(reward=None, goes_on=None),
    }  # fmt: skip
    places = {name: np.flatnonzero((other != plain).any(axis=(1, 2))) for name, other in rows.items()}
    second, numbers = HEAD + 40, 2 * (HEAD + 40) + GAP
    assert second <= places["heading"].min() and places["heading"].max() < second + HEAD
    assert numbers + ROW <= places["reward"].min() and places["reward"].max() < numbers + 2 * ROW
    assert numbers + 2 * ROW <= places["goes on"].min() and places["goes on"].max() < numbers + 3 * ROW
    assert (rows["nothing"][numbers + ROW + 1 :, 2 * GAP + 60 :] == 255).all()


def test_a_task_whose_observations_cannot_be_drawn_is_filmed_without_dreams(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.delattr(LBFEnv, "render_observation")
    assert record.main([str(folder), "--episodes", "1", "--out", str(tmp_path / "film")]) == 0
    assert capsys.readouterr().out.startswith(
        "nothing imagined stands beside the episodes: observations cannot be drawn here: LBFEnv has no "
    )


def test_a_context_is_for_methods_that_dream(tmp_path, capsys):
    run = play("vdn", "matrix_game", tmp_path, t_max="20")
    capsys.readouterr()
    assert_refused(
        lambda *argv: record.main(list(argv)), run, ["{folder}", "--context", "2"],
        "--context is for runs of dreamer, mamba, mabl or dmawm, not of vdn", capsys,
    )  # fmt: skip


DRAWN = {
    "matrix_game": ("dreamer", {"env_args.key": "two_step"}),
    "overcooked": ("mamba", {"env_args.max_steps": "12"}),
}


@pytest.mark.parametrize(
    "env", ["matrix_game", pytest.param("overcooked", marks=[pytest.mark.slow, needs("overcooked")])]
)
def test_other_tasks_that_draw_observations_have_dreams_in_their_films(env, tmp_path):
    method, more = DRAWN[env]
    run = reopen(str(play(method, env, tmp_path, **SHORT | more)), record.CONFIG_DIR, ONE_HERE)
    (episode,) = record.play(run, 1)
    assert record.draws_dreams(run)
    assert len(record.panels_beside(run, episode, 1)) == len(episode.pictures)
    run.close()


def test_films_show_probabilities(folder, tmp_path, capsys):
    assert record.main([str(folder), "--episodes", "1", "--out", str(tmp_path / "film")]) == 0
    assert {path.suffix for path in (tmp_path / "film").iterdir()} == {".gif", ".mp4"}
