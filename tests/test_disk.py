"""Disks that are full, folders that cannot be written, checkpoints that are damaged: one line, and nothing is lost."""

import errno
import os
import re
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_resume import same_run, stop_after
from tiny_runs import TINY, files, play, read, words

import main
from training.checkpoint import forget_checkpoints, save_checkpoint
from utils.files import write_whole

SMALL = 20_000  # bytes; a checkpoint's weights take more, everything else of a short run less
SAVES = {"save_model_interval": "60", "buffer_size": "24"}  # replay is full at the second checkpoint


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@contextmanager
def no_file_larger_than(size):
    """As on a full disk, a write fails in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def said(capsys):
    """The one line of an error."""
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_a_disk_that_fills_up_ends_a_run_that_then_goes_on_as_if_it_had_not(capsys):
    whole = play("vdn", results="whole", t_max="300", **SAVES)
    folder = play("vdn", results="r", t_max="300", **SAVES)
    last = len(list((folder / "checkpoints").iterdir())) - 1
    stop_after(folder, last - 1)
    kept = files(folder / "checkpoints")
    capsys.readouterr()
    with no_file_larger_than(SMALL):
        assert main.main([f"resume={folder}"]) == 75
    line = rf"error: cannot write {folder}: .*File too large.*; what was saved before is whole: .*resume=.*\n"
    assert re.fullmatch(line, said(capsys))
    assert files(folder / "checkpoints") == kept
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    assert {place.name for place in (folder / "aside").iterdir()} == {"t_300_1"}  # what was measured after it
    assert read(folder, "run.json")["status"] == "FAILED"
    assert main.main([f"resume={folder}"]) == 0
    same_run(whole, folder)


def test_figures_that_cannot_be_written_end_a_run(capsys):
    often = {"learner_log_interval": "1", "log_interval": "1", "save_model": "false"}
    with no_file_larger_than(SMALL):
        assert main.main(words("vdn", "matrix_game", TINY | often)) == 75
    assert "vdn/1/metrics.json: File too large" in said(capsys)


@pytest.mark.parametrize("size", [100, 1000])
def test_a_disk_that_is_full_from_the_start_gets_no_archive(size, capsys):
    with no_file_larger_than(size):
        assert main.main(words("vdn", "matrix_game", TINY)) == 75
    assert "results/sacred/one_step/vdn/1: cannot write there (File too large)" in said(capsys)
    assert not list(Path("results/sacred/one_step/vdn").iterdir())


def test_a_results_folder_that_is_read_only_gets_no_archive(monkeypatch, capsys):
    (root := Path("results/sacred/one_step/vdn")).mkdir(parents=True)
    mkdir = os.mkdir

    def read_only(path, *args, **kwargs):
        if Path(path).parent.absolute() == root.absolute():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", read_only)
    assert main.main(words("vdn", "matrix_game", TINY)) == 2
    assert "results/sacred/one_step/vdn: cannot write there (Read-only file system)" in said(capsys)


def test_only_the_last_checkpoints_stay(capsys):
    folder = play("vdn", t_max="300", keep_checkpoints="2", **SAVES)
    every = play("vdn", results="all", t_max="300", **SAVES)
    saved = sorted((path.name for path in (every / "checkpoints").iterdir()), key=lambda name: int(name[2:]))
    assert len(saved) > 3
    assert {path.name for path in (folder / "checkpoints").iterdir()} == set(saved[-2:])
    assert main.main([f"resume={folder}", "with", "t_max=400", "keep_checkpoints=1"]) == 0
    (only,) = (folder / "checkpoints").iterdir()
    assert int(only.name[2:]) >= 400


def test_a_checkpoint_loses_its_name_before_anything_else(tmp_path, monkeypatch):
    for t_env in (5, 10, 15):
        save_checkpoint(tmp_path, t_env, {}, {}, {})
    monkeypatch.setattr(shutil, "rmtree", lambda path: (path / "numbers.json").unlink() or exit("killed"))
    with pytest.raises(SystemExit, match="killed"):
        forget_checkpoints(tmp_path, keep=1)
    monkeypatch.undo()
    assert {path.name for path in tmp_path.glob("t_*")} == {"t_10", "t_15"}
    save_checkpoint(tmp_path, 20, {}, {}, {})
    assert {path.name for path in tmp_path.iterdir()} == {"t_10", "t_15", "t_20"}
    forget_checkpoints(tmp_path, keep=9)
    forget_checkpoints(tmp_path, keep=1)
    assert {path.name for path in tmp_path.iterdir()} == {"t_20"}


def test_a_checkpoint_of_other_agents_is_refused(capsys):
    folder = play("vdn", "lbf", results="r")
    capsys.readouterr()
    three = {"checkpoint_path": str(folder), "env_args.key": "Foraging-5x5-3p-1f-v3"}
    assert main.main(words("vdn", "lbf", TINY | three)) == 2
    line = said(capsys)
    assert "is of task Foraging-5x5-2p-1f-v3, and this run of Foraging-5x5-3p-1f-v3; take the same task" in line
    assert not Path("results").exists()


def test_a_file_that_fails_leaves_the_one_before_and_no_rest(tmp_path):
    (path := tmp_path / "figures.json").write_text("old")
    with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
        write_whole(path, lambda partial: partial.write_text("new" * 10))
    assert files(tmp_path) == {Path("figures.json"): b"old"}
