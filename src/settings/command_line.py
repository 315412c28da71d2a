"""The command line as PyMARL's users know it: two config names, or an archived run, then `with key=value …`."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from settings.config import ALGS, ENVS, PROTOCOLS, config_names
from settings.schema import shown
from utils.errors import UserError, nearest
from utils.naming import typed

MAIN = typed("main")
_FORM = f"{MAIN} --config=NAME --env-config=NAME [with key=value ...]"
# What can be done with a run of the archive, in place of the two configs, which it has.
_FORMS = {
    "resume": f"{MAIN} resume=RUN_FOLDER|latest [with t_max=...]",
    "evaluate": f"{MAIN} evaluate=RUN_FOLDER|CHECKPOINT|latest [with test_nepisode=...]",
    "continue": f"{MAIN} continue=RUN_FOLDER|CHECKPOINT|latest with t_max=...",
}
RUN_VERBS = tuple(_FORMS)
_FLAGS = {"--config": ALGS, "--env-config": ENVS}
_HELP = ("--help", "-h")
_EXAMPLES = f"""\
  {MAIN} --config=mmsa --env-config=lbf
  {MAIN} --config=qmix --env-config=lbf with env_args.key=Foraging-2s-8x8-2p-2f-coop-v2 seed=3"""


@dataclass(frozen=True)
class CommandLine:
    """What was asked for: names of the two configs, or what is done with which run; the text of every setting.

    `verb` is resume, evaluate or continue, and `run` a folder, a checkpoint, or latest; without them both are None.
    """

    config: str
    env_config: str
    updates: dict[str, str]
    verb: str | None = None
    run: str | None = None


def parse_command_line(argv: Sequence[str], config_dir: Path) -> CommandLine:
    """Return what `argv` (without the program's name) asks for; names and values are not checked yet.

    `--help` and `-h` print the usage and raise SystemExit(0). Raises UserError, one line, for a wrong form.
    """
    if any(word in _HELP for word in argv):
        print(usage(config_dir))
        raise SystemExit(0)
    flags: dict[str, str] = {}
    updates: dict[str, str] = {}
    after_with = False
    words = iter(argv)
    verb = run = None
    if argv and argv[0].partition("=")[0] in _FORMS and "=" in argv[0]:
        verb, run = _take_run(next(words))
    for word in words:
        if word.startswith("-"):
            _take_flag(word, next(words, "") if word in _FLAGS else None, flags, config_dir)
        elif word == "with" and not after_with:
            after_with = True
        elif after_with:
            _take_assignment(word, updates)
        else:
            raise _misplaced(word)
    if verb is not None:
        if flags:
            raise UserError(f"an archived run has its configs: leave out {next(iter(flags))}; {_FORMS[verb]}")
        return CommandLine("", "", updates, verb, run)
    _refuse_missing(flags, config_dir)
    return CommandLine(flags["--config"], flags["--env-config"], updates)


def _misplaced(word: str) -> UserError:
    """Return the error for a word that stands where only a run to take up may."""
    verb, sign, _ = word.partition("=")
    close = get_close_matches(verb, _FORMS, 1) if sign else []
    form = _FORMS[close[0]] if close else _FORM
    return UserError(f"{shown(word)!r} stands before 'with' or without it; the form is: {form}")


def _refuse_missing(flags: dict[str, str], config_dir: Path) -> None:
    for flag in _FLAGS:
        if flag not in flags:
            choices = _choices(flag, config_dir)
            raise UserError(f"{flag} is missing: choose one of {choices}; the form is: {_FORM}")


def usage(config_dir: Path) -> str:
    """Return the text of `--help`: the form, the configs found under `config_dir`, two examples."""
    forms = "\n       ".join([_FORM, *_FORMS.values()])
    return (
        f"usage: {forms}\n\n"
        f"algorithms (--config):        {_choices('--config', config_dir)}\n"
        f"environments (--env-config):  {_choices('--env-config', config_dir)}\n"
        f"protocols (with protocol=):   {', '.join(config_names(config_dir, PROTOCOLS))}\n\n"
        f"Settings, their meaning and range: comments in {config_dir}\n\n"
        f"examples:\n{_EXAMPLES}"
    )


def _choices(flag: str, config_dir: Path) -> str:
    return ", ".join(config_names(config_dir, _FLAGS[flag])) or f"(none found in {shown(str(config_dir))})"


def _take_flag(word: str, following: str | None, flags: dict[str, str], config_dir: Path) -> None:
    """Put the flag and its value into `flags`; `following` is the next word where that is the value."""
    flag, _, value = word.partition("=")
    if flag not in _FLAGS:
        hint = f"did you mean {nearest(shown(flag), [*_FLAGS, _HELP[0]])}? A setting follows 'with': {_FORM}"
        raise UserError(f"unknown flag {shown(flag)!r}: {hint}")
    if following is not None:
        value = "" if following.startswith("-") or following == "with" else following
    if not value:
        raise UserError(f"{flag} needs a name: choose one of {_choices(flag, config_dir)}")
    if flag in flags:
        raise UserError(f"{flag} is given twice: {shown(flags[flag])} and {shown(value)}")
    flags[flag] = value


def _take_run(word: str) -> tuple[str, str]:
    verb, _, run = word.partition("=")
    if not run:
        raise UserError(f"{verb}= needs a run's folder, or latest; the form is: {_FORMS[verb]}")
    return verb, run


def _take_assignment(word: str, updates: dict[str, str]) -> None:
    key, sign, value = word.partition("=")
    if not key or not sign:
        raise UserError(f"{shown(word)!r} is no assignment: write key=value without spaces: with seed=3")
    if key in updates:
        raise UserError(f"{shown(key)} is given twice: {shown(updates[key])} and {shown(value)}")
    updates[key] = value
