"""The report on a world model: its episodes, its numbers against slow forms, its bands, pictures, page and mistakes."""

import csv
import json
import shutil
from base64 import b64decode
from html import escape
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import drifted, make_batch, make_learner
from test_diagnostics import slow_errors
from tiny_runs import assert_refused, csv_rows, files, play

import inspect_world_model
import main
import plot
import world_model_report.files
import world_model_report.report
from inspect_world_model import FILES, WITH_A_MODEL
from modules.world_model import Gaussian, Imagined
from training.reopen import ONE_HERE, reopen
from training.seeding import Stream, episode_streams
from world_model_report.bands import mean_band, ratio_band
from world_model_report.collect import fresh_episodes
from world_model_report.episode_figure import draw_episode, short_names, story_of
from world_model_report.estimates import Comparison, compare, estimates
from world_model_report.lookahead import Lookahead
from world_model_report.page import make_page, table
from world_model_report.path_figures import imagined_path, spread_of_episodes
from world_model_report.planes import principal_plane
from world_model_report.words import answer

PNGS = [name for name in FILES if name.endswith(".png")]
USE = {"rollout_use_zeros": 1.5, "rollout_use_noise": 0.25, "rollout_use_other": 0.125}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {
        "lbf": play("mmsa", "lbf", root / "lbf"),
        "matrix_game": play("mmsa_paper", "matrix_game", root / "matrix", **{"env_args.key": "two_step"}),
        "qmix": play("qmix", "matrix_game", root / "qmix"),
        "no_model": play("mmsa", "matrix_game", root / "no_model", use_world_model="false"),
    }


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the archived run on LBF."""
    return shutil.copytree(trained["lbf"], tmp_path / "run" / "1")


@pytest.fixture(scope="module")
def reports(trained, tmp_path_factory):
    """A report on each environment."""
    out = tmp_path_factory.mktemp("reports")
    for env in ("lbf", "matrix_game"):
        assert run(trained[env], "--episodes", 5, "--horizon", 4, "--out", out / env) == 0
    return out


def run(*argv):
    return inspect_world_model.main([str(word) for word in argv])


def lines(folder):
    """The lines of errors.csv: (horizon, quantity, predictor) to mean, low, high, rows."""
    with (folder / "errors.csv").open() as file:
        return {
            (int(row["horizon"]), row["quantity"], row["predictor"]): tuple(
                float(row[name] or "nan") for name in ("mean", "low", "high", "rows")
            )
            for row in csv.DictReader(file)
        }


def played(folder, count, epsilon=0.05, seed=1):
    opened = reopen(str(folder), main.CONFIG_DIR, ONE_HERE)
    try:
        return opened, *fresh_episodes(opened, count, epsilon, seed)
    finally:
        opened.close()


class Reader(HTMLParser):
    """What a page's tags fetch, and its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.images, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action"):
                (self.images if tag == "img" and value.startswith("data:") else self.fetched).append(value)

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("env", ["lbf", "matrix_game"])
def test_a_report_holds_all_its_files_and_only_them(reports, env):
    assert sorted(path.name for path in (reports / env).iterdir()) == sorted(FILES)
    assert set(FILES) == {"index.html", "errors.csv", "report.json", *PNGS} and len(PNGS) == 5
    for name in PNGS:
        assert (reports / env / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")  # of the slow form
@pytest.mark.parametrize("env", ["lbf", "matrix_game"])
def test_errors_equal_their_slow_form(trained, reports, env):
    found = lines(reports / env)
    opened, batch, _ = played(trained[env], 5)
    reach = min(4, batch.max_seq_length - 1)
    assert {j for j, quantity, _ in found if quantity == "latent_error"} == set(range(1, reach + 1))
    last = 4 if env == "lbf" else 1  # a game of two steps has no action two steps ahead
    assert {j for j, quantity, _ in found if quantity == "action_match"} == set(range(1, last + 1))
    with th.no_grad():
        for j in range(1, reach + 1):
            *errors, match = slow_errors(opened.learner, batch, j)
            for what, expected in zip(("latent", "hidden"), errors, strict=True):
                for predictor, error in zip(("model", "keep", "mean"), expected.tolist(), strict=True):
                    mean, low, high, _ = found[j, f"{what}_error", predictor]
                    assert mean == pytest.approx(error, rel=1e-4) and low <= mean <= high
                    share = error / expected[2].item()
                    assert found[j, f"{what}_share", predictor][0] == pytest.approx(share, rel=1e-4)
            if (j, "action_match", "model") in found:
                assert found[j, "action_match", "model"][0] == pytest.approx(match)


def test_the_metrics_are_those_that_training_logs(trained, reports):
    opened, batch, _ = played(trained["lbf"], 5)
    report = json.loads((reports / "lbf" / "report.json").read_text())
    logged = {name: value.item() for name, value in opened.learner.diagnose(batch).items()}
    assert report["metrics"] == logged and "imagined_action_match_3" in logged
    found = lines(reports / "lbf")
    for j in (1, 2, 3):
        assert found[j, "hidden_error", "model"][0] == pytest.approx(logged[f"wm_hidden_error_model_{j}"], rel=1e-5)
        assert found[j, "action_match", "model"][0] == pytest.approx(logged[f"imagined_action_match_{j}"], rel=1e-5)
    words = " ".join(Reader((reports / "lbf" / "index.html").read_text()).words)
    assert all(name in words for name in logged)


def test_matches_of_all_predictors_equal_a_slow_loop():
    learner, batch = drifted(make_learner("mmsa")), make_batch()
    look = Lookahead(learner, batch, 3)
    q = [look.of_episode(b, look.encoded.model_q) for b in range(batch.batch_size)]
    for j, matches in enumerate(look.matches(), start=1):
        keep, chance, ceiling = [], [], []
        for b, length in enumerate(look.lengths):
            avail, taken = batch["avail_actions"][b], batch["actions"][b, ..., 0]
            best = q[b].masked_fill(~avail[: length + 1], -th.inf).argmax(dim=-1)
            for t in range(length - j):
                keep += (best[t] == taken[t + j]).tolist()
                ceiling += (best[t + j] == taken[t + j]).tolist()
                chance += [
                    avail[t, agent, action].item() / avail[t, agent].sum().item()
                    for agent, action in enumerate(taken[t + j].tolist())
                ]
        with th.no_grad():
            model = slow_errors(learner, batch, j)[2]
        expected = {"model": model, "keep": np.mean(keep), "chance": np.mean(chance), "ceiling": np.mean(ceiling)}
        assert len(set(expected.values())) == 4
        assert {name: x.mean().item() for name, x in matches._asdict().items()} == pytest.approx(expected)
        assert len(look.acting_episodes_from(j)) == len(matches.model)


def perfect(monkeypatch):
    """A model whose latent is the history itself and that knows every history to come; greedy agents, all available."""
    learner, batch = drifted(make_learner("mmsa", obs_last_action=False)), make_batch()
    learner.update_targets()
    batch.array("avail_actions")[batch.array("filled")[..., 0]] = True
    first = Lookahead(learner, batch, 1)
    for b, length in enumerate(first.lengths):
        best = first.of_episode(b, first.encoded.model_q).argmax(dim=-1)
        batch.array("actions")[b, :length, :, 0] = best[:length].numpy()
    rows, h, calls = first.rows, first.encoded.model_h, []

    def know(now, actions, draw):
        calls.append(len(now))
        future = h.flatten(1)
        for j in range(len(calls)):
            future = rows.then(future, after=j)
        return Imagined(future, future)

    monkeypatch.setattr(learner.world_model, "posterior", lambda x: Gaussian(x.flatten(1), x.flatten(1)))
    monkeypatch.setattr(learner.world_model, "step", know)
    monkeypatch.setattr(learner.world_model, "decode_hidden", lambda x: x.unflatten(-1, h.shape[1:]))
    return Lookahead(learner, batch, 3)


def test_a_perfect_model_makes_no_error_and_names_every_action(monkeypatch):
    look = perfect(monkeypatch)
    found = {(e.horizon, e.quantity, e.predictor): e for e in estimates(look)}
    for j in (1, 2, 3):
        for quantity in ("latent_error", "hidden_error", "latent_share", "hidden_share"):
            assert found[j, quantity, "model"][3:6] == (0, 0, 0) and found[j, quantity, "keep"].mean > 0
        for predictor in ("model", "ceiling"):
            assert found[j, "action_match", predictor][3:6] == (1, 1, 1)
        assert found[j, "action_match", "chance"].mean == pytest.approx(0.2)
        assert found[j, "action_match", "keep"].mean < 1
    assert all(c.verdict == "better" and c.ratio.mean == 0 for c in compare(look, 3))


def test_a_perfect_models_paths_and_imagined_actions_are_the_real_ones(monkeypatch):
    look = perfect(monkeypatch)
    for episode, length in enumerate(look.lengths):
        real = look.of_episode(episode, look.latent).numpy()
        for start in range(length):
            path = imagined_path(look, episode, look.foresight.latents, start)
            assert np.array_equal(path, real[start + 1 : start + 4])
        story = story_of(look, episode)
        assert story.greedy.all() and story.taken.shape == (length, 3)
        for j, imagined in enumerate(story.imagined, start=1):
            assert (imagined[:j] == -1).all() and np.array_equal(imagined[j:], story.taken[j:])


def test_the_model_is_shown_the_paths_and_actions_of_the_episode_asked_for():
    learner, batch = drifted(make_learner("mmsa")), make_batch()
    look = Lookahead(learner, batch, 3)
    for episode, length in enumerate(look.lengths):
        s, actions = look.of_episode(episode, look.latent), batch["actions"][episode, ..., 0]
        story = story_of(look, episode)
        assert np.array_equal(story.taken, actions[:length].numpy())
        for start in range(length):
            now, steps = s[start], []
            with th.no_grad():
                for j in range(min(3, length - start)):
                    now = learner.world_model.step(now, actions[start + j], draw=False).s
                    steps.append(now.numpy())
            path = imagined_path(look, episode, look.foresight.latents, start)
            np.testing.assert_allclose(path, steps, rtol=1e-3, atol=1e-5)


def test_bands_hold_the_mean_and_shrink_with_more_episodes():
    rng = np.random.default_rng(0)
    widths = []
    for m in (10, 40, 160):
        episodes = np.repeat(np.arange(m), 5)
        values = rng.normal(size=m)
        band = mean_band(values[episodes], episodes)
        assert band.low < band.mean < band.high and band.rows == 5 * m
        widths.append(band.high - band.low)
        assert mean_band(values[episodes], episodes) == band, "the same resamples every time"
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]
    assert widths[2] == pytest.approx(2 * 1.96 / np.sqrt(160), rel=0.25)


def test_rows_of_an_episode_count_as_one_thing_that_was_seen():
    rng = np.random.default_rng(0)
    values, episodes = np.repeat(rng.normal(size=20), 50), np.repeat(np.arange(20), 50)
    together, apart = mean_band(values, episodes), mean_band(values, np.arange(1000))
    assert together.mean == pytest.approx(apart.mean)
    assert together.high - together.low > 5 * (apart.high - apart.low)


def test_episodes_count_by_their_rows_and_one_alone_has_no_band():
    band = mean_band(np.array([1.0, 1.0, 1.0, 5.0]), np.array([7, 7, 7, 2]))
    assert band.mean == 2 and band.low == 1 and band.high == 5
    alone = mean_band(np.array([1.0, 2.0]), np.array([3, 3]))
    assert alone.mean == 1.5 and np.isnan(alone.low) and np.isnan(alone.high)


def test_what_makes_an_episode_hard_for_both_cancels_in_a_ratio():
    rng = np.random.default_rng(0)
    hard = rng.exponential(size=30)
    band = ratio_band(0.5 * hard, hard, np.arange(30))
    assert band.mean == pytest.approx(0.5) and band.high - band.low < 1e-9
    assert np.isnan(ratio_band(hard, 0 * hard, np.arange(30)).mean)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.5, 0.9, "better"), (0.9, 1.1, "no clear difference"), (1.1, 2, "worse"), (np.nan, np.nan, "cannot be told")],
)
def test_only_a_band_that_leaves_out_1_decides(low, high, verdict):
    ratio = mean_band(np.array([0.8]), np.array([0]))._replace(low=low, high=high)
    assert Comparison("latent", "keep", 3, ratio).verdict == verdict


def comparisons(*highs):
    ratio = mean_band(np.array([0.8]), np.array([0]))
    pairs = [("latent", "keep"), ("latent", "mean"), ("hidden", "keep"), ("hidden", "mean")]
    return [
        Comparison(what, naive, 3, ratio._replace(low=0.5, high=high))
        for (what, naive), high in zip(pairs, highs, strict=True)
    ]


def test_the_answer_says_what_the_numbers_say():
    where, latent, hidden, use = answer(comparisons(0.9, 0.9, 0.9, 1.1), 3, USE)
    assert where == "3 steps ahead, the rollout horizon J of this run, under the actions really taken:"
    assert "is better than both naive predictors" in latent and "95% band 0.50 to 0.90" in latent
    assert "is better than «nothing changes»" in hidden and "both" not in hidden
    assert "is not clearly better or worse than «always the mean»" in hidden
    assert "moves by 1.50 of" in use and "noise there by 0.25" in use and "rollout by 0.12" in use
    assert "J of this run is 5" in answer(comparisons(0.9, 0.9, 0.9, 1.1), 5, USE)[0]


def test_the_plane_is_that_of_the_two_widest_directions():
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    points = rng.normal(size=(500, 6)) * [5, 2, 0.1, 0.1, 0.1, 0.1] @ turned + 3
    plane = principal_plane(points)
    np.testing.assert_allclose(np.abs(plane.axes @ turned[:2].T), np.eye(2), atol=0.05)
    assert plane.shares == pytest.approx([25 / 29, 4 / 29], abs=0.05)
    np.testing.assert_allclose(plane.project(points).std(axis=0), [5, 2], rtol=0.1)
    assert (np.take_along_axis(plane.axes, np.abs(plane.axes).argmax(axis=1)[:, None], axis=1) > 0).all()
    assert principal_plane(points[:, :1]).project(points[:, :1])[:, 1].tolist() == [0] * 500
    assert not principal_plane(np.ones((4, 3))).project(np.ones((4, 3))).any()


def test_episodes_are_fresh_repeatable_and_known_by_their_number(trained):
    _, two, results = played(trained["lbf"], 2)
    opened, three, more = played(trained["lbf"], 3)
    seeds = [result.seed for result in more]
    assert seeds == [episode_streams(1, Stream.INSPECTED_EPISODE, opened.t_env, n)[0] for n in range(3)]
    assert results == more[:2] and th.equal(two.storage, three.storage[:2, : two.max_seq_length])
    used = {episode_streams(1, Stream.TRAIN_EPISODE, n)[0] for n in range(opened.episode)}
    used |= {int(row["seed"]) for row in csv_rows(trained["lbf"])}
    assert not used & set(seeds)
    assert three.batch_size == 3 and three.max_seq_length == 1 + max(result.length for result in more)
    short = (played(trained["lbf"], 1, 1.0, seed)[1:] for seed in range(100))
    batch, (result,) = next((batch, results) for batch, results in short if results[0].length < 10)
    assert batch.max_seq_length == 1 + result.length
    assert not th.equal(played(trained["lbf"], 3, seed=2)[1].storage[:, :2], three.storage[:, :2])


def test_the_share_of_random_actions_is_the_one_given(trained):
    shares = []
    for epsilon in (0.0, 1.0):
        opened, batch, _ = played(trained["lbf"], 4, epsilon)
        look = Lookahead(opened.learner, batch, 1)
        shares.append(np.mean(np.concatenate([story_of(look, b).greedy for b in range(4)])))
    assert shares[0] == 1 and shares[1] < 0.6


def test_the_page_holds_every_picture_and_fetches_nothing(reports):
    text = (reports / "lbf" / "index.html").read_text()
    page = Reader(text)
    inside = [b64decode(image.removeprefix("data:image/png;base64,")) for image in page.images]
    assert inside == [(reports / "lbf" / name).read_bytes() for name in PNGS]
    assert not page.fetched and not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http" not in text.replace(page.images[0], "") and "url(" not in text and "@import" not in text


def test_the_page_says_what_it_is_a_report_of(trained, reports):
    words = " ".join(Reader((reports / "lbf" / "index.html").read_text()).words)
    report = json.loads((reports / "lbf" / "report.json").read_text())
    opened, _, results = played(trained["lbf"], 5)
    facts = report["facts"]
    assert facts["run"] == str(trained["lbf"].resolve()) and facts["environment steps"] == opened.t_env
    assert facts["commit of the run"] == json.loads((trained["lbf"] / "info.json").read_text())["commit"]
    assert (facts["algorithm"], facts["task"]) == ("mmsa", "Foraging-5x5-2p-1f-v3")
    assert (facts["episodes"], facts["seed of the episodes"], facts["share of random actions, ε"]) == (5, 1, 0.05)
    assert facts["environment steps in them"] == sum(result.length for result in results)
    assert facts["command"].startswith("python src/inspect_world_model.py ") and "--episodes 5" in facts["command"]
    for told in (*facts.values(), *report["answer"], "epsilon_anneal_time", "latent_share"):
        assert (f"{told:.4g}" if isinstance(told, float) else str(told)) in words
    assert [c["naive"] for c in report["comparisons"]] == ["keep", "mean"] * 2


def test_hostile_names_stay_text():
    nasty = '<script>alert("x")</script><img src=http://evil>&'
    page = make_page(nasty, {nasty: nasty}, [nasty], [], {nasty: table([(nasty, 1.0)], (nasty,))})
    read = Reader(page)
    assert not {"script", "img"} & set(read.tags) and page.count(escape(nasty)) == 8
    story = story_of(Lookahead(drifted(make_learner("mmsa")), make_batch(), 2), 0)
    draw_episode(story, ["$_$", "$_x", "b", "<", "5"]).savefig(BytesIO())


def test_what_an_archive_says_is_escaped(folder, tmp_path, monkeypatch):
    nasty = "<script>alert(1)</script>"
    (folder / "info.json").write_text(json.dumps({"commit": nasty}))
    monkeypatch.setattr(world_model_report.report, "commit_of", lambda _: nasty)
    evil = folder.rename(folder.parent / "<b>&$x$")
    assert run(evil, "--episodes", 2, "--out", tmp_path / "out") == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert not {"script", "b"} & set(Reader(text).tags)
    assert text.count(escape(nasty)) == 2 and escape("<b>&$x$") in text


def test_the_same_command_gives_the_same_report_and_another_seed_another(trained, tmp_path, monkeypatch):
    words = ("--episodes", 3, "--horizon", 2, "--out", "out")
    made = []
    for place, more in (("a", ()), ("b", ()), ("c", ("--seed", 9))):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        assert run(trained["lbf"], *words, *more) == 0
        made.append(files(tmp_path / place))
    assert made[0] == made[1]
    assert lines(tmp_path / "a" / "out") != lines(tmp_path / "c" / "out")


def test_looking_leaves_the_archive_as_it_was_and_plots_as_it_did(folder, tmp_path, monkeypatch, capsys):
    before = files(folder)
    (checkpoint,) = folder.glob(f"checkpoints/t_{csv_rows(folder)[-1]['t_env']}")
    assert run(checkpoint, "--episodes", 2) == 0
    made = folder / "world_model" / checkpoint.name
    *_, last = capsys.readouterr().out.splitlines()
    assert last == str(made / "index.html") and sorted(path.name for path in made.iterdir()) == sorted(FILES)
    assert {name: content for name, content in files(folder).items() if name.parts[0] != "world_model"} == before
    assert [found.folder for found in plot.find_runs([str(folder)])] == [folder]


def test_a_report_is_replaced_whole_or_left_as_it_is(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert run(folder, "--episodes", 2, "--out", out) == 0
    first = files(out)
    capsys.readouterr()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world_model_report.files, "_page", interrupted)  # the pictures have been written by then
        assert run(folder, "--episodes", 3, "--out", out) == 130
        assert capsys.readouterr().err == "interrupted: no report was written\n"
        assert files(out) == first and len([*out.iterdir()]) == len(FILES)
    assert run(folder, "--episodes", 3, "--out", out) == 0
    assert files(out).keys() == first.keys() and files(out) != first


@pytest.mark.parametrize("kind", ["qmix", "no_model"])
def test_a_run_without_a_world_model_gets_one_line(trained, kind, tmp_path, capsys):
    assert run(trained[kind], "--out", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert err == f"error: {trained[kind]}: this run has no world model to look at; give a run of {WITH_A_MODEL}\n"
    assert not out and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: no checkpoint here"),
        (["{folder}/checkpoints/t_12345"], "no checkpoint here"),
        (["{folder}", "--episodes", "0"], "--episodes: '0' is no whole number from 1 to 1000"),
        (["{folder}", "--horizon", "0"], "--horizon: '0' is no whole number from 1 to 1000"),
        (["{folder}", "--epsilon", "2"], "--epsilon: '2' is no number from 0 to 1"),
        (["{folder}", "--epsilon", "nan"], "--epsilon: 'nan' is no number from 0 to 1"),
        (["{folder}", "--epsilon", "some"], "--epsilon: 'some' is no number from 0 to 1"),
        (["{folder}", "--seed", "-1"], "--seed"),
        (["{folder}", "--out", "{folder}/config.json"], "config.json: cannot write there (File exists)"),
        (["{folder}", "--out", "{folder}/config.json/report"], "cannot write there (Not a directory)"),
        (["{folder}", "--colour"], "see python src/inspect_world_model.py --help"),
        ([], "PATH"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_nothing_is_written(folder, words, says, capsys):
    assert_refused(run, folder, words, says, capsys)


@pytest.mark.parametrize("text", ["{", "[1]", b"\xff"])
def test_a_spoilt_archive_is_answered_and_nothing_is_left(folder, tmp_path, text, capsys):
    (folder / "info.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run(folder, "--episodes", 1, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "info.json" in err
    assert not (tmp_path / "out").exists()


def test_a_run_of_a_gpu_with_workers_and_without_info_is_looked_at_here(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config |= {"device": "cuda", "cuda_graph": True, "acting_graph": True, "buffer_device": "learner"}
    config["runner"] = "parallel"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "info.json").unlink()
    assert run(folder, "--episodes", 1, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["facts"]["commit of the run"] == "unknown"
    assert {c["verdict"] for c in report["comparisons"]} == {"cannot be told"}


def test_networks_that_diverged_can_be_looked_at(trained, tmp_path, monkeypatch):
    def spoilt(*args):
        opened = reopen(*args)
        with th.no_grad():
            opened.learner.world_model.prior_encoder.last.bias.fill_(np.nan)
        return opened

    monkeypatch.setattr(inspect_world_model, "reopen", spoilt)
    assert run(trained["matrix_game"], "--episodes", 3, "--out", tmp_path) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert {c["verdict"] for c in report["comparisons"]} == {"cannot be told"}
    assert report["metrics"]["wm_latent_error_model_1"] is None


def test_episodes_shown_are_spread_over_the_lengths_and_never_the_same():
    assert spread_of_episodes([9, 3, 5, 7, 1], 3) == [2, 0, 1]
    assert spread_of_episodes([4, 4, 4, 4], 3) == [1, 3, 0] and spread_of_episodes([4], 3) == [0]


def test_actions_have_short_signs_that_differ():
    assert short_names(["none", "north", "south", "west", "east", "load"]) == ["n", "↑", "↓", "←", "→", "l"]
    assert short_names(["0", "1"]) == ["0", "1"] and short_names(["stay", "stop", "go"]) == ["sta", "sto", "go"]
    assert short_names(["attack 1", "attack 2", "north"]) == ["0", "1", "↑"]


def test_long_episodes_are_drawn_in_lines_of_25_steps():
    learner, batch = drifted(make_learner("mmsa")), make_batch([(60, "terminated"), (130, "truncated")])
    look = Lookahead(learner, batch, 3)
    figures = [draw_episode(story_of(look, episode), list("abcde")) for episode in (0, 1)]
    assert [len(figure.axes) for figure in figures] == [3, 4]
    steps = [int(label.get_text()) for panel in figures[0].axes for label in panel.get_xticklabels()]
    assert steps == list(range(60))
