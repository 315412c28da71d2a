"""What is printed is in the file at once, and a file that cannot be written ends nothing by itself."""

import os
import sys
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path

import pytest
from test_resume import same_run
from tiny_runs import MAIN, play, read, settings_of, words

from utils.exits import exit_code
from utils.printing import printed_to

ROOT = Path(MAIN).parents[1]


def test_a_line_is_in_the_file_as_soon_as_it_is_printed_and_out_of_it_afterwards(tmp_path, capsys):
    path = tmp_path / "cout.txt"
    path.write_text("before\n")
    with printed_to(path, lambda why: None, lambda: None):
        print("one")
        assert path.read_text() == "before\none\n"
        print("two", file=sys.stderr)
        assert path.read_text() == "before\none\ntwo\n"
    print("three")
    assert path.read_text() == "before\none\ntwo\n"
    assert capsys.readouterr() == ("one\nthree\n", "two\n")


def test_a_file_that_cannot_be_written_is_told_and_printing_goes_on(tmp_path, capsys):
    told = []
    with printed_to(tmp_path / "nowhere" / "cout.txt", told.append, lambda: None):
        print("one")
    assert isinstance(told[0], OSError) and capsys.readouterr().out == "one\n"


@contextmanager
def reader_gone():
    """Stdout as after `| head -1` has had its line."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as stdout, redirect_stdout(stdout):
        yield


@pytest.mark.parametrize(
    "command",
    ["main", "study", "plot", "record", "doctor", "inspect_world_model", "install_plugin", "mend_host", "try_hosts"],
)
def test_a_command_whose_reader_has_gone_ends_without_a_word(command, monkeypatch, capfd):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    works = import_module(command).main
    with reader_gone():
        assert works(["--help"]) == 141
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("length", [1, 40_000])  # in the buffer, and beyond it
def test_so_it_does_when_it_has_printed_something_else(length, capfd):
    with reader_gone():
        assert exit_code(lambda: print("x" * length), "") == 141
    assert capfd.readouterr().err == ""


def test_another_pipe_that_breaks_is_a_fault():
    def breaks():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        exit_code(breaks, "")


@pytest.mark.parametrize("lines", [0, 2])
def test_a_run_whose_reader_goes_saves_and_then_goes_on_as_one_that_had_its_reader(
    lines, tmp_path, monkeypatch, capfd
):
    main = import_module("main").main
    monkeypatch.chdir(tmp_path)
    whole = play("vdn", results="whole")
    reads, writes = os.pipe()
    with os.fdopen(writes, "w") as stdout, redirect_stdout(stdout), monkeypatch.context() as patch:
        patch.setattr("utils.logging.tqdm.write", lambda line: _said(line, said, reads, lines))
        said = []
        assert main(words("vdn", "matrix_game", settings_of("matrix_game"))) == 141
    assert len(capfd.readouterr().err.splitlines()) == (lines > 0)  # «stopping: saves, then ends»
    folder = next(Path("results").rglob("config.json")).parent
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    assert (folder / "checkpoints").is_dir() == (lines > 0)
    assert main([f"resume={folder}"]) == 0
    same_run(whole, folder)


def _said(line, said, reads, lines):
    """Print a line, after the reader has gone who wanted so many."""
    if len(said) == lines:
        os.close(reads)
    said.append(line)
    print(line)
