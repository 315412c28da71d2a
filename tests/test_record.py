"""Films of a checkpoint's greedy episodes: the episodes, the pictures, the strip below them, the files."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import count_frames_and_secs, read_frames
from PIL import Image
from tiny_runs import assert_refused, csv_rows, files, play

import main
import record
from envs import make_env
from envs.matrix_game import MatrixGameEnv
from record import LAST_STAYS, ONE_HERE
from recording.q_strip import GAP, HEAD, MARGIN, PANEL_WIDTH, ROW, UNAVAILABLE, Choice, Scale, draw_strip, scale_of
from training.reopen import reopen
from utils.drawing import agent_colour, faded
from utils.movie import GIF, MP4

NAMES = ["none", "north", "load"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs on both environments. The one on LBF offers only valid actions, and its episodes end in both ways."""
    root = tmp_path_factory.mktemp("runs")
    lbf = {"env_args.valid_actions_only": "true", "test_nepisode": "6"}
    return {
        "lbf": play("mmsa", "lbf", root / "lbf", **lbf),
        "matrix_game": play("vdn", "matrix_game", root / "matrix", **{"env_args.key": "two_step"}),
    }


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the archived run on LBF."""
    return shutil.copytree(trained["lbf"], tmp_path / "run" / "1")


@pytest.fixture(scope="module", params=["lbf", "matrix_game"])
def played(trained, request):
    """The archived run's folder, its settings, its task's name and the episodes of its last evaluation."""
    folder = trained[request.param]
    run = reopen(str(folder), main.CONFIG_DIR, ONE_HERE)
    rows = [row for row in csv_rows(folder) if row["t_env"] == str(run.t_env)]
    yield run, rows, list(record.play(run, len(rows)))
    run.close()


def run(*argv):
    return record.main([str(word) for word in argv])


def gif_frames(path):
    """The pictures of a GIF, (frames, height, width, 3), and the seconds that each one stays."""
    with Image.open(path) as gif:
        pictures, seconds = [], []
        for number in range(gif.n_frames):
            gif.seek(number)
            seconds.append(gif.info["duration"] / 1000)
            pictures.append(np.asarray(gif.convert("RGB")))
    return np.stack(pictures), seconds


def mp4_frames(path):
    reader = read_frames(str(path))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def pixel(picture, x, y):
    return "#" + "".join(f"{channel:02X}" for channel in picture.getpixel((round(x), round(y))))


def test_episodes_are_those_of_the_archived_evaluation(played):
    _, rows, episodes = played
    assert len(rows) >= 3
    for row, episode in zip(rows, episodes, strict=True):
        result = episode.result
        told = (result.seed, result.episode_return, result.length, int(result.truncated))
        assert tuple(row[name] for name in ("seed", "return", "length", "truncated")) == tuple(map(str, told))


def test_the_lbf_episodes_compared_end_in_both_ways(trained):
    rows = csv_rows(trained["lbf"])
    assert {row["truncated"] for row in rows} == {"0", "1"}


def test_each_choice_is_greedy_among_the_available_actions_and_led_to_the_next_picture(played):
    run, _, episodes = played
    env = make_env(run.args.env, run.args.env_args)
    unavailable = 0
    for episode in episodes:
        env.reset(episode.result.seed)
        total = 0.0
        assert len(episode.pictures) == len(episode.choices) + 1 == episode.result.length + 1
        for picture, choice in zip(episode.pictures, episode.choices, strict=False):
            assert np.array_equal(picture, env.render())
            assert np.array_equal(choice.available, env.get_avail_actions())
            best = np.where(choice.available, choice.q, -np.inf).argmax(axis=-1)
            assert choice.actions.tolist() == best.tolist()
            unavailable += np.any(choice.q.argmax(axis=-1) != best)
            total += env.step(choice.actions)[0]
        assert np.array_equal(episode.pictures[-1], env.render()) and total == episode.result.episode_return
    assert unavailable or run.args.env == "matrix_game"


@pytest.mark.parametrize("env", ["lbf", "matrix_game"])
def test_gif_and_mp4_have_a_frame_per_step_and_one_of_the_end_that_stays(trained, env, tmp_path, capsys):
    fps = 5
    assert run(trained[env], "--episodes", 2, "--fps", fps, "--out", tmp_path) == 0
    *told, gif, mp4 = capsys.readouterr().out.splitlines()
    assert [gif, mp4] == [str(tmp_path / GIF), str(tmp_path / MP4)]
    rows = csv_rows(trained[env])
    rows = [row for row in rows if row["t_env"] == rows[-1]["t_env"]]
    lengths = [int(row["length"]) for row in rows[:2]]
    for number, (line, row) in enumerate(zip(told, rows[:2], strict=True)):
        end = ", cut off by the time limit" if row["truncated"] == "1" else ""
        assert line == f"episode {number + 1} of 2: return {float(row['return']):.3f} in {row['length']} steps{end}"
    pictures, seconds = gif_frames(gif)
    stays = [stay for length in lengths for stay in [1] * length + [round(LAST_STAYS * fps)]]
    assert [round(second * fps) for second in seconds] == stays
    assert all((one != two).any() for one, two in pairwise(pictures))
    film = mp4_frames(mp4)
    assert count_frames_and_secs(mp4) == (sum(stays), pytest.approx(sum(stays) / fps))
    assert film.shape[1:] == pictures.shape[1:] and film.shape[1] % 16 == film.shape[2] % 16 == 0
    assert np.abs(film.astype(int) - np.repeat(pictures, stays, axis=0)).mean() < 4


def test_a_frame_holds_title_picture_and_strip(played):
    run, _, episodes = played
    (frame, *_) = record.frames(run, 1, 4)
    sheet, picture = np.asarray(frame.picture), episodes[0].pictures[0]
    top, left = record.TITLE_HEIGHT, (sheet.shape[1] - picture.shape[1]) // 2
    bottom = top + picture.shape[0]
    assert np.array_equal(sheet[top:bottom, left : left + picture.shape[1]], picture)
    scale = scale_of(episodes[0].choices)
    names = run.runner.env.action_names()
    strip = np.asarray(draw_strip(episodes[0].choices[0], run.runner.info.n_agents, names, scale, sheet.shape[1]))
    assert np.array_equal(sheet[bottom:], strip)
    assert all(line.any() for line in np.split((sheet[:top] != 255).any(axis=(1, 2)), [top * 3 // 5])), "two lines"


def strip(choice, n_agents=2):
    width = 2 * PANEL_WIDTH + GAP + 2 * MARGIN
    return draw_strip(choice, n_agents, NAMES, Scale(-1.0, 1.0), width)


def row_of(agent, action):
    """The left end of an action's row in the strip, and the middle of its height."""
    return MARGIN + agent * (PANEL_WIDTH + GAP), HEAD + (action + 0.5) * ROW


def coloured(picture, agent, action, colour):
    """The pixels of an action's row that have a colour."""
    x, y = row_of(agent, action)
    return sum(pixel(picture, x + at, y) == colour for at in range(20, PANEL_WIDTH))


def test_the_strip_marks_the_chosen_action_of_each_agent():
    q, available = np.array([[0.5, -0.5, 0.2], [0.1, 0.2, 0.3]]), np.ones((2, 3), bool)
    for actions in ([0, 2], [1, 0]):
        picture = strip(Choice(q, available, np.array(actions)))
        for agent, chosen in enumerate(actions):
            marked = [pixel(picture, row_of(agent, a)[0] + 8, row_of(agent, a)[1]) for a in range(3)]
            assert [a for a in range(3) if marked[a] == agent_colour(agent)] == [chosen]


def test_bars_are_as_long_as_values_and_grey_where_an_action_is_unavailable():
    q = np.array([[0.8, -0.4, 0.2], [0.0, 0.4, 9.0]])
    available = np.array([[True, True, True], [True, True, False]])
    picture = strip(Choice(q, available, np.array([0, 1])))
    blue, grey = agent_colour(0), "#D9D9D9"
    chosen, left, right = coloured(picture, 0, 0, blue), *(coloured(picture, 0, a, faded(blue, 0.5)) for a in (1, 2))
    assert chosen > 25 and chosen == pytest.approx(2 * left, abs=4) and chosen == pytest.approx(4 * right, abs=8)
    assert not coloured(picture, 1, 0, faded(agent_colour(1), 0.5))
    assert coloured(picture, 1, 2, grey) == pytest.approx(1.25 * chosen, abs=3), "a value beyond the scale ends there"
    names = [np.asarray(picture)[round(row_of(1, a)[1]), :].tolist() for a in (1, 2)]
    unavailable = [int(UNAVAILABLE[i : i + 2], 16) for i in (1, 3, 5)]
    assert unavailable in names[1] and unavailable not in names[0]


def test_numbers_stand_at_the_right_and_after_the_end_there_are_none():
    q, available, actions = np.array([[0.5, -0.5, 0.2]] * 2), np.ones((2, 3), bool), np.array([0, 0])
    one, other = strip(Choice(q, available, actions)), strip(Choice(q + 0.3, available, actions))
    numbers = slice(MARGIN + PANEL_WIDTH - 30, MARGIN + PANEL_WIDTH - 8)
    differs = (np.asarray(one)[HEAD:, numbers] != np.asarray(other)[HEAD:, numbers]).any(axis=(1, 2))
    assert all(differs[action * ROW : (action + 1) * ROW].any() for action in range(3))
    ended = strip(None)
    assert ended.size == one.size
    assert not any(coloured(ended, agent, 0, faded(agent_colour(agent), 0.5)) for agent in (0, 1))
    assert pixel(ended, row_of(0, 0)[0] + 8, row_of(0, 0)[1]) == "#FFFFFF"


def test_the_scale_holds_zero_and_every_value_that_counts():
    available = np.array([[True, True, False]])
    choices = [Choice(np.array([[0.2, 0.7, 90.0]]), available, np.array([1])),
               Choice(np.array([[-0.1, 0.3, -90.0]]), available, np.array([1]))]  # fmt: skip
    assert scale_of(choices) == Scale(-0.1, 0.7) and scale_of(choices[:1]) == Scale(0.0, 0.7)
    assert scale_of([Choice(np.zeros((1, 3)), available, np.array([0]))]).share(0.0) == 0.0
    negative = Choice(np.array([[-0.3, -0.2, 0.0]]), available, np.array([1]))
    assert scale_of([negative]) == Scale(pytest.approx(-0.3), 0.0)
    assert [Scale(0, span).text(0.123456) for span in (0.05, 1, 30, 5000)] == ["0.1235", "0.12", "0.1", "0"]


def test_values_of_a_diverged_network_can_be_shown():
    choice = Choice(np.array([[np.nan, np.inf, 0.5]] * 2), np.ones((2, 3), bool), np.array([0, 2]))
    assert scale_of([choice]) == Scale(0.0, 0.5)
    assert not coloured(strip(choice), 0, 0, agent_colour(0)) and coloured(strip(choice), 1, 2, agent_colour(1))


@pytest.mark.parametrize(("n_agents", "rows", "in_the_first"), [(1, 1, 1), (3, 1, 3), (4, 2, 2), (7, 3, 3)])
def test_agents_stand_in_even_rows(n_agents, rows, in_the_first):
    choice = Choice(np.zeros((n_agents, 3)), np.ones((n_agents, 3), bool), np.zeros(n_agents, int))
    width = 3 * (PANEL_WIDTH + GAP) - GAP + 2 * MARGIN
    picture = draw_strip(choice, n_agents, NAMES, Scale(0.0, 1.0), width)
    assert picture.height == rows * (HEAD + len(NAMES) * ROW + GAP)
    first = {pixel(picture, x, HEAD + ROW / 2) for x in range(width)}  # the row of the chosen actions
    shown = [agent for agent in range(min(n_agents, 6)) if faded(agent_colour(agent), 0.16) in first]
    assert shown == list(range(in_the_first))


def test_another_seed_gives_other_episodes_and_the_same_again(folder, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert run(folder, "--episodes", 1, "--seed", seed, "--out", tmp_path / name) == 0
    a, b, c = ((tmp_path / name / GIF).read_bytes() for name in "abc")
    assert a == b != c


def test_films_lie_with_the_run_and_are_replaced_whole_or_left_as_they_are(folder, monkeypatch, capsys):
    (checkpoint,) = folder.glob(f"checkpoints/t_{csv_rows(folder)[-1]['t_env']}")
    films = folder / "recordings" / checkpoint.name
    assert run(checkpoint, "--episodes", 1) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [str(films / GIF), str(films / MP4)]
    first = files(films)
    assert first.keys() == {Path(GIF), Path(MP4)} and len([*films.iterdir()]) == 2
    drawn = []

    def spoilt(*args):
        drawn.append(args)
        if len(drawn) > 2:
            raise RuntimeError("in the middle")
        return draw_strip(*args)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="in the middle"):
        patch.setattr(record, "draw_strip", spoilt)
        run(checkpoint, "--episodes", 2)
    assert files(films) == first and len([*films.iterdir()]) == 2
    assert run(folder, "--episodes", 2) == 0
    assert files(films).keys() == first.keys() and files(films) != first


def test_ctrl_c_leaves_no_film(folder, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "draw_strip", interrupted)
    assert run(folder, "--out", tmp_path / "films") == 130
    assert capsys.readouterr().err == "interrupted: no film was written\n"
    assert not (tmp_path / "films").exists()


def test_pictures_are_kept_though_an_environment_may_draw_over_its_last_one(trained, monkeypatch):
    opened = reopen(str(trained["matrix_game"]), main.CONFIG_DIR, ONE_HERE)
    draw, paper = MatrixGameEnv.render, opened.runner.env.render().copy()

    def drawn_over(env):
        paper[:] = draw(env)
        return paper

    monkeypatch.setattr(MatrixGameEnv, "render", drawn_over)
    (episode,) = record.play(opened, 1)
    assert len(episode.pictures) == len({picture.tobytes() for picture in episode.pictures}) == 3


def test_a_run_of_a_gpu_with_workers_is_recorded_here(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config |= {"device": "cuda", "cuda_graph": True, "acting_graph": True, "buffer_device": "learner"}
    config["runner"] = "parallel"
    (folder / "config.json").write_text(json.dumps(config))
    assert run(folder, "--episodes", 1, "--out", tmp_path / "films") == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: no checkpoint here"),
        (["{folder}/checkpoints/t_12345"], "no checkpoint here"),
        (["{folder}", "--episodes", "0"], "--episodes: '0' is no whole number from 1 to 1000"),
        (["{folder}", "--episodes", "two"], "--episodes"),
        (["{folder}", "--fps", "0"], "--fps: '0' is no whole number from 1 to 50"),
        (["{folder}", "--fps", "51"], "--fps"),
        (["{folder}", "--seed", "-1"], "--seed"),
        (["{folder}", "--out", "{folder}/config.json"], "config.json: cannot write there (File exists)"),
        (["{folder}", "--out", "{folder}/config.json/films"], "cannot write there (Not a directory)"),
        (["{folder}", "--colour"], "--colour"),
        ([], "PATH"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_nothing_is_written(folder, words, says, capsys):
    assert_refused(run, folder, words, says, capsys)


def test_an_environment_that_cannot_be_drawn_is_answered_before_anything_is_written(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.delattr(MatrixGameEnv, "render")
    assert run(trained["matrix_game"], "--out", tmp_path / "films") == 2
    out, err = capsys.readouterr()
    assert err == "error: this environment cannot be drawn: MatrixGameEnv has no render()\n" and not out
    assert not (tmp_path / "films").exists()
