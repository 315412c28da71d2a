"""Code of a task that somebody else wrote: imported, made and called, with each of its faults told in one line."""

import dis
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from envs.multiagentenv import EpisodeLostError
from utils.errors import RunFailedError, UserError, nearest
from utils.naming import to_install

_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
SUITES_COME_WITH = f"rware, mpe2 and pettingzoo come with `{to_install('requirements-gymma.txt')}`"


class MisfitError(Exception):
    """A task shows, takes or returns what does not have the form that it must; one line says what, of which agent."""


def find_module(name: str, where: str, submodules: Callable[[ModuleType], list[str]] = lambda _: []) -> ModuleType:
    """Import a module, which may be a file or a folder in the directory that the program was started from.

    Raises `UserError`, which begins with `where`, if there is none or it cannot be imported; `submodules` gives the
    names of a package that come into question for another.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # at the end: it hides nothing
    importlib.invalidate_caches()
    try:
        with running(f"{where}: import {name}"):
            module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise UserError(_not_found(name, where, missing.name or "", submodules)) from missing
    _refuse_hidden(name.partition(".")[0], where)
    return module


def _refuse_hidden(package: str, where: str) -> None:
    """Raise `UserError` where a file of this directory is meant and another module of its name was imported."""
    imported = getattr(sys.modules[package], "__file__", None)
    for path in (Path.cwd() / f"{package}.py", Path.cwd() / package / "__init__.py"):
        if path.is_file() and (imported is None or not path.samefile(imported)):
            raise UserError(f"{where}: {path} is hidden by another module of this name ({imported}); rename it")


def _not_found(name: str, where: str, missing: str, submodules: Callable[[ModuleType], list[str]]) -> str:
    package, _, last = missing.rpartition(".")
    if f"{name}.".startswith(f"{missing}."):  # the module itself, or a package that it is in
        if not package:
            here = Path.cwd()
            close = get_close_matches(missing, [path.stem for path in here.glob("*.py")], n=1)
            advice = f"did you mean {close[0]}?" if close else SUITES_COME_WITH
            return f"{where}: there is neither a file {missing}.py in {here} nor a Python package {missing}; {advice}"
        known = submodules(sys.modules[package])
        advice = f"did you mean {nearest(last, known)}?" if known else f"{package} is a single file: name it alone"
        return f"{where}: there is no module {missing}; {advice}"
    return f"{where}: {name} {needs(missing)}"


def needs(missing: str) -> str:
    """Say what a module lacks: a package that is not installed, or a part of one that is."""
    package = missing.partition(".")[0]
    if "." in missing and sys.modules.get(package) is not None:  # it was imported on the way
        return f"needs {missing}, which the installed version of {package} does not have: it wants another version"
    return f"needs the Python package {package}, which is not installed"


@contextmanager
def running(what: str) -> Iterator[None]:
    """Raise `UserError` in place of whatever a task's code raises, `sys.exit()` included; a note has the traceback.

    Errors of ours, and of a module that is not there, pass.
    """
    try:
        yield
    except (UserError, RunFailedError, EpisodeLostError, MisfitError, ModuleNotFoundError):
        raise
    except BaseException as why:
        if not tasks_own(why):
            raise
        error = UserError(f"{what}: {fault_line(why)}")
        error.add_note(shortened_traceback(why))
        raise error from why


def lost_episode(why: BaseException, doing: str, seed: int, actions: Sequence[np.ndarray]) -> EpisodeLostError:
    """Return the loss of an episode by a fault in the task's code, with the traceback as a note.

    `actions` are the joint actions taken in it until then; the error carries them as `played`, to repeat it.
    """
    taken = [action.tolist() for action in actions]
    last = f", actions {' '.join(str(taken[-1]).split())[:200]}" if taken else ""
    lost = EpisodeLostError(f"{doing}: {fault_line(why)}, in step {len(taken)} of the episode of seed {seed}{last}")
    lost.add_note(shortened_traceback(why))
    lost.played = {"seed": seed, "actions": taken}
    return lost


def tasks_own(why: BaseException) -> bool:
    """Say whether a task's code raised this itself: not Ctrl-C, which Python raises wherever it happens to be."""
    if not isinstance(why, KeyboardInterrupt):
        return not isinstance(why, GeneratorExit)
    last = why.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


def fault_line(why: BaseException) -> str:
    """Return what was raised, and where, on one line."""
    frames = traceback.extract_tb(why.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith((_OURS, "<frozen"))]
    place = f" ({os.path.relpath(theirs[-1].filename)}:{theirs[-1].lineno})" if theirs else ""
    said = " ".join(str(why).split())[:300]
    if isinstance(why, SystemExit):
        return f"the task's code called sys.exit({said}){place}"
    return f"{type(why).__name__}{': ' if said else ''}{said}{place}"


def shortened_traceback(why: BaseException) -> str:
    """Return the traceback from where the task's code begins."""
    frames = why.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith((_OURS, "<frozen", _CONTEXTS)):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(why), why, frames)).rstrip()


_OURS = str(Path(__file__).parents[1]) + os.sep
_CONTEXTS = os.path.dirname(importlib.__file__)


def known_arguments(make: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Return the arguments that a constructor takes by name; none where it does not say."""
    try:
        parameters = signature(make).parameters
    except (TypeError, ValueError):  # of a class in C, for one
        return {}
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in _BY_NAME}


def check_arguments(make: Callable[..., Any], kwargs: Mapping[str, Any], where: str, given: Mapping[str, Any]) -> None:
    """Raise `UserError` for one of `env_args.kwargs` that a constructor does not take, and for one that it lacks.

    `given` are the arguments that it is given besides.
    """
    try:
        open_ended = any(each.kind is Parameter.VAR_KEYWORD for each in signature(make).parameters.values())
    except (TypeError, ValueError):
        return
    known, name = known_arguments(make), getattr(make, "__name__", "the constructor")
    for argument in kwargs if not open_ended else ():
        if argument not in known:
            hint = f"did you mean {nearest(argument, known)}?" if known else "it takes no arguments"
            raise UserError(f"{where}: env_args.kwargs.{argument}: {name} takes no {argument}; {hint}")
    for argument, parameter in known.items():
        if parameter.default is Parameter.empty and argument not in kwargs and argument not in given:
            raise UserError(f"{where}: {name} needs {argument}: give env_args.kwargs.{argument}=...")


def refuse_unknown(why: TypeError, make: partial, where: str) -> None:
    """Raise `UserError` where what `make` calls passed one of its arguments on to something that does not take it."""
    said = re.search(r"(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'", str(why))
    if said is None or said[3] not in make.keywords:
        return
    name = said[1] or said[2]
    takes = getattr(sys.modules.get(make.func.__module__), name, None)
    hint = f"; did you mean {nearest(said[3], known_arguments(takes))}?" if callable(takes) else ""
    raise UserError(f"{where}: env_args.kwargs.{said[3]}: {name} takes no {said[3]}{hint}") from why


def one_line(thing: object) -> str:
    """Return how a thing shows itself, on one line that is not too long."""
    return " ".join(str(thing).split())[:200]
