"""Going on in a folder that was misused: nothing that was measured is lost, and two processes never share one."""

import csv
import errno
import json
import os
import shutil
import sys

import pytest
from test_resume import same_run
from tiny_runs import TINY, files, play, read, words

import main
from runners import REGISTRY as RUNNERS
from settings import find_run
from training.checkpoint import checkpoints_in
from utils import locks
from utils.errors import PassingError, UserError

SETTINGS = {"t_max": "300", "save_model_interval": "60"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, for copies."""
    return play("vdn", "lbf", tmp_path_factory.mktemp("whole"), **SETTINGS)


@pytest.fixture
def folder(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(whole, tmp_path / "results" / "sacred" / "t" / "vdn" / "1")


def died(folder, at=None, keep=10**9):
    """Make a finished run look like one that died, after a step of its figures, with its first checkpoints."""
    change(folder, "run.json", status="RUNNING")
    for path in checkpoints_in(folder / "checkpoints")[keep:]:
        shutil.rmtree(path)
    if at is not None:
        metrics = read(folder, "metrics.json")
        for series in metrics.values():
            length = sum(step <= at for step in series["steps"])
            series |= {name: values[:length] for name, values in series.items()}
        (folder / "metrics.json").write_text(json.dumps({k: v for k, v in metrics.items() if v["steps"]}))
        with (folder / "eval_episodes.csv").open(newline="") as file:
            rows = [row for row in csv.reader(file) if not row[0].isdecimal() or int(row[0]) <= at]
        with (folder / "eval_episodes.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def change(folder, name, **fields):
    (folder / name).write_text(json.dumps(read(folder, name) | fields))


def told(argv, code, capsys):
    capsys.readouterr()
    assert main.main(argv) == code
    out, err = capsys.readouterr()
    if code != 0:
        assert err.startswith("error: ") and err.count("\n") == 1, err
    return out + err


@pytest.mark.parametrize("how", ["finished", "died far", "never saved"])
def test_a_run_without_checkpoints_is_not_wiped(how, folder, capsys):
    shutil.rmtree(folder / "checkpoints")
    if how != "finished":
        died(folder)
    if how == "never saved":
        change(folder, "config.json", save_model=False)
    before = files(folder)
    said = told([f"resume={folder}", "with", "t_max=400"], 3, capsys)
    assert "figures up to step 3" in said and "restart=true" in said and files(folder) == before


def test_beginning_anew_puts_aside_all_that_was_there(folder, whole, capsys):
    shutil.rmtree(folder / "checkpoints")
    assert "has trained its 300 steps" in told([f"resume={folder}"], 2, capsys)
    told([f"resume={folder}", "with", "restart=true"], 0, capsys)
    same_run(whole, folder)
    kept = folder / "aside" / "restart_1"
    assert (kept / "figures.json").read_bytes() == (whole / "metrics.json").read_bytes()
    for name in ("eval_episodes.csv", "run.json", "cout.txt"):
        assert (kept / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_that_died_before_its_first_checkpoint_begins_again_in_its_folder(folder, whole, capsys):
    shutil.rmtree(folder / "checkpoints")
    shutil.rmtree(folder / "replay")
    died(folder, at=59)
    told([f"resume={folder}"], 0, capsys)
    same_run(whole, folder)


def test_what_a_resume_cuts_off_is_put_aside_until_it_is_measured_again(folder, whole, capsys, monkeypatch):
    died(folder, keep=2)
    change(folder, "metrics.json", seen_once={"steps": [299], "values": [1.0], "timestamps": ["2026-01-01T00:00:00"]})
    (folder / "absolute_episodes.csv").write_text("t_env\n1\n")
    figures, episodes = ((folder / name).read_bytes() for name in ("metrics.json", "eval_episodes.csv"))
    with monkeypatch.context() as patch:
        patch.setattr("training.loop.play_round", lambda run: 1 / 0)  # dies again before it has measured anything
        with pytest.raises(ZeroDivisionError):
            main.main([f"resume={folder}"])
    (place,) = (folder / "aside").iterdir()
    assert (place / "figures.json").read_bytes() == figures
    assert (place / "eval_episodes.csv").read_bytes() == episodes
    assert (place / "absolute_episodes.csv").read_text() == "t_env\n1\n"
    told([f"resume={folder}"], 0, capsys)
    same_run(whole, folder)
    assert list((folder / "aside").iterdir()) == [place]  # for seen_once was not seen again
    died(folder, keep=3)
    told([f"resume={folder}"], 0, capsys)
    assert list((folder / "aside").iterdir()) == [place]


def damage_list(folder):
    path = folder / "eval_episodes.csv"
    path.write_bytes(path.read_bytes()[:-100])


def damage_replay(folder):
    max((folder / "replay").iterdir(), key=lambda path: int(path.stem.split("_")[1])).unlink()


def damage_tensors(folder):
    path = checkpoints_in(folder / "checkpoints")[-1] / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def damage_figures(folder):
    """Cut what no run goes on from; the copy that is put aside is as it was."""
    for name in ("metrics.json", "run.json"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    damage_tensors(folder)


@pytest.mark.parametrize("damage", [damage_list, damage_replay, damage_tensors, damage_figures])
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(damage, folder, whole, capsys):
    died(folder)
    damage(folder)
    last = checkpoints_in(folder / "checkpoints")[-1].name
    said = told([f"resume={folder}"], 0, capsys)
    assert "going on from" in said and "the one before; what is damaged" in said
    assert (folder / "aside" / "damaged_1" / last).is_dir()
    same_run(whole, folder)


def test_a_folder_belongs_to_one_process_and_latest_passes_over_it(folder, capsys):
    died(folder, keep=2)
    other = shutil.copytree(folder, folder.with_name("2"))
    before = files(folder)
    with locks.holding(other):
        assert "is in use: process" in told([f"resume={other}"], 75, capsys)
        assert find_run("latest", {}, main.CONFIG_DIR).name == "1"
        with locks.holding(folder), pytest.raises(PassingError, match="is in use"):
            find_run("latest", {}, main.CONFIG_DIR)
    assert {k: v for k, v in files(folder).items() if k.name != "run.lock"} == {
        k: v for k, v in before.items() if k.name != "run.lock"
    }


def test_a_new_run_holds_its_folder_while_it_trains_and_not_afterwards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    from training.loop import play_round as plays

    def looks(run):
        seen.append(locks.is_held(tmp_path / "results" / "sacred" / "one_step" / "vdn" / "1"))
        plays(run)

    monkeypatch.setattr("training.loop.play_round", looks)
    assert main.main(words("vdn", "matrix_game", TINY)) == 0
    assert seen and all(seen) and not locks.is_held(tmp_path / "results" / "sacred" / "one_step" / "vdn" / "1")


def test_code_that_has_changed_is_refused_and_named_unless_it_is_asked_for(folder, whole, capsys):
    died(folder, keep=2)
    source = read(folder, "info.json")["source"]
    assert {"learners/value_learner.py", "envs/lbf.py", "training/loop.py"} <= source.keys()
    assert not {"learners/mmsa_learner.py", "envs/smax.py", "comparison/pooling.py", "study.py"} & source.keys()
    change(folder, "info.json", source=source | {"envs/lbf.py": "other"}, commit="a" * 40)
    before = files(folder)
    said = told([f"resume={folder}"], 2, capsys)
    assert "envs/lbf.py" in said and "other_commit=true" in said and "a" * 12 in said and files(folder) == before
    said = told([f"resume={folder}", "with", "other_commit=true"], 0, capsys)
    assert f"with commit {'a' * 12}, and goes on with" in said
    assert "changed since, by other_commit=true: envs/lbf.py" in said
    same_run(whole, folder)
    (again,) = read(folder, "info.json")["resumed"]
    assert again["changed"] == {"envs/lbf.py": source["envs/lbf.py"]}
    died(folder, keep=2)
    said = told([f"resume={folder}"], 0, capsys)  # the last start counts
    assert "last worked at" not in said


def test_what_is_not_there_now_but_was_is_trouble_that_may_pass(folder, capsys, monkeypatch):
    def no_game(*_, **__):
        raise UserError("the game is not installed")

    died(folder, keep=2)
    monkeypatch.setitem(RUNNERS, "vector", no_game)
    assert "the game is not installed" in told([f"resume={folder}"], 75, capsys)


@pytest.mark.parametrize(
    "moment", ["main.resumed_settings", "training.going_on.checkpoints_in", "training.archive.said_of_code"]
)
def test_a_folder_that_goes_away_while_it_is_taken_up_is_trouble_that_may_pass(
    moment, folder, whole, capsys, monkeypatch
):
    died(folder, keep=2)
    name, _, attribute = moment.rpartition(".")
    does = getattr(sys.modules[name], attribute)

    def moved_meanwhile(*args, **kwargs):
        folder.rename(folder.with_name("away"))
        return does(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(moment, moved_meanwhile)
        said = told([f"resume={folder}"], 1 if "archive" in name else 75, capsys)
    assert ("cannot write" if "archive" in name else "not there any more") in said and not folder.exists()
    folder.with_name("away").rename(folder)
    told([f"resume={folder}"], 0, capsys)
    same_run(whole, folder)


def test_a_file_system_without_an_answer_is_not_a_damaged_checkpoint(folder, whole, capsys, monkeypatch):
    died(folder)
    with monkeypatch.context() as patch:
        patch.setattr("training.checkpoint.load_file", no_answer)
        assert "cannot be read now" in told([f"resume={folder}"], 75, capsys)
    assert not (folder / "aside").exists()
    told([f"resume={folder}"], 0, capsys)
    same_run(whole, folder)


def no_answer(path):
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_a_mistyped_option_is_a_mistake(folder, capsys):
    assert "restart=perhaps" in told([f"resume={folder}", "with", "restart=perhaps"], 2, capsys)


def test_tensorboard_shows_nothing_twice_after_a_resume(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    folder = play("vdn", "lbf", "r", use_tensorboard="true", **SETTINGS)
    died(folder, keep=2)
    assert main.main([f"resume={folder}"]) == 0
    shown = EventAccumulator(str(folder / "tb"), purge_orphaned_data=True)
    shown.Reload()
    steps = [event.step for event in shown.Scalars("test_return_mean")]
    assert steps == read(folder, "metrics.json")["test_return_mean"]["steps"]
