"""The command `mmsa`: each word is one of the commands in `src/`, under one name."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import mmsa_pymarl  # noqa: F401  so that worker processes, which import this file again, find the rooms, too
from utils.errors import UserError, nearest
from utils.exits import exit_code
from utils.naming import built


class Command(NamedTuple):
    """A module with `main(argv)`, the words that it is given first, and what it does, in a line."""

    module: str
    first: tuple[str, ...]
    summary: str


COMMANDS: dict[str, Command] = {
    "train": Command("main", (), "train: --config=NAME --env-config=NAME [with key=value ...], or resume=RUN"),
    "study": Command("study", (), "many runs: run, status, stop, diff, report, export, ..."),
    "report": Command("study", ("report",), "compare archived runs on one page"),
    "export-results": Command("study", ("export-results",), "write the figures of archived runs as CSV or Parquet"),
    "settings": Command("mmsa_pymarl.settings_command", (), "list settings: value, type, range, meaning, place"),
    "export": Command("mmsa_pymarl.export_command", (), "write a checkpoint's agents as ONNX"),
    "watch": Command("watch", (), "show runs as they train, on a page of this machine"),
    "plot": Command("plot", (), "draw learning curves"),
    "record": Command("record", (), "film greedy episodes of a checkpoint"),
    "inspect": Command("inspect_world_model", (), "say how far a world model foresees"),
    "crossplay": Command("crossplay", (), "let agents of different runs play together"),
    "doctor": Command("doctor", (), "say what works on this machine, and what mends the rest"),
    "completion": Command("mmsa_pymarl.completion_command", (), "complete what is typed in bash or zsh"),
}


def usage() -> str:
    """Return the text of `--help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: mmsa COMMAND ...   (mmsa COMMAND --help says more)", "", *lines])


def version() -> str:
    """Return what `--version` says: version and commit where this is installed."""
    said = built()
    return f"mmsa-pymarl {said['version']} ({said['commit'][:12]})" if said else "mmsa-pymarl, a checkout"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line asks for and return the exit code, see `utils.exits`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in ([], ["-h"], ["--help"], ["--version"]):
        return exit_code(lambda: print(version() if words[:1] == ["--version"] else usage()), "")
    if words[0] not in COMMANDS:
        return exit_code(lambda: _refuse(words[0]), "")
    return run(words[0], words[1:])


def run(name: str, words: Sequence[str]) -> int:
    """Do what one of the commands does with the words behind its name, and return the exit code."""
    command = COMMANDS[name]
    return import_module(command.module).main([*command.first, *words])


def _refuse(word: str) -> None:
    raise UserError(f"mmsa {word!r}: no such command; did you mean {nearest(word, COMMANDS)}?")
