"""What a key of Gymnasium or PettingZoo names, and where it is found.

A key is `package:Id` (the package is imported, then Gymnasium makes Id), an Id that Gymnasium knows by itself,
EPyMARL's `pz-family-some-name-v3`, or the module that this stands for (`mpe2.some_name_v3` where the family is mpe,
else `pettingzoo.family.some_name_v3`), or any other module with a `parallel_env()`.
"""

import copy
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import gymnasium

from envs.gym_actions import one_line
from envs.gymma_games import Game, GymnasiumGame, ParallelGame
from utils.errors import UserError, nearest

FORM = "[package:]Id, pz-family-name-vN or package.module, as rware:rware-tiny-2ag-v2 or pz-mpe-simple-spread-v3"
_OWN_LIMITS = ("max_cycles", "max_episode_steps", "max_steps")  # what environments call time limits of their own

# Packages of environments that an archive's key may have imported. Add your own: what you archive, you can then resume.
SUITES = ("gymnasium", "lbforaging", "matrixgames", "minigrid", "mpe2", "pettingzoo", "rware", "smaclite", "vmas")


class Key(NamedTuple):
    """Where a task is found: `module` is imported (None: nothing); `task` is Gymnasium's Id, None for PettingZoo."""

    module: str | None
    task: str | None


def parse_key(key: str) -> Key:
    """Return what a key names; raise `UserError` for one of another form."""
    if match := re.fullmatch(r"pz-([a-z0-9]+)-([a-z0-9-]+-v[0-9]+)", key):
        family, name = match[1], match[2].replace("-", "_")
        return Key(f"mpe2.{name}" if family == "mpe" else f"pettingzoo.{family}.{name}", None)
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", key, re.ASCII):
        return Key(key, None)
    if match := re.fullmatch(r"(?:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):)?(\w[\w./-]*)", key, re.ASCII):
        return Key(match[1], match[2])
    raise UserError(f"env_args.key={key}: must be of the form {FORM}")


def find(key: str, time_limit: int) -> Callable[[], Game]:
    """Return what makes the environment of a key, once per episode; raise `UserError` if there is none."""
    found = parse_key(key)
    try:
        module = import_module(found.module) if found.module else None
        game, make = _parallel(key, module, time_limit) if found.task is None else _registered(key, found, time_limit)
        first = make()
    except ModuleNotFoundError as missing:
        raise UserError(_not_found(key, found, missing.name or "")) from missing
    except gymnasium.error.Error as why:
        raise UserError(f"env_args.key={key}: {one_line(why)}") from why
    modes = first.metadata.get("render_modes", ())
    first.close()
    return partial(game, partial(make, render_mode="rgb_array") if "rgb_array" in modes else make)


def _parallel(key: str, module: ModuleType | None, time_limit: int) -> tuple[type[Game], Callable[..., Any]]:
    if not hasattr(module, "parallel_env"):
        raise UserError(f"env_args.key={key}: this module has no parallel_env() as PettingZoo's environments have")
    known = signature(getattr(module, "raw_env", module.parallel_env)).parameters
    return ParallelGame, partial(module.parallel_env, **{name: time_limit for name in _OWN_LIMITS if name in known})


def _registered(key: str, found: Key, time_limit: int) -> tuple[type[Game], Callable[..., Any]]:
    try:
        spec = copy.deepcopy(gymnasium.spec(found.task))
    except gymnasium.error.Error as why:
        close = get_close_matches(found.task, gymnasium.registry, cutoff=0.5)
        advice = f"did you mean {' or '.join(close)}?" if close else "is a package: missing before it?"
        raise UserError(f"env_args.key={key}: Gymnasium knows no {found.task}; {advice}") from why
    spec.max_episode_steps, spec.order_enforce, spec.disable_env_checker = None, False, True
    # One step later than ours, so that ours, which is known to be a time limit, ends the episode.
    spec.kwargs |= {name: time_limit + 1 for name in _OWN_LIMITS if name in spec.kwargs}
    return GymnasiumGame, partial(gymnasium.make, spec)


def _not_found(key: str, found: Key, missing: str) -> str:
    package, _, name = missing.rpartition(".")
    if package and f"{found.module}.".startswith(f"{missing}."):
        known = sorted(module.name for module in iter_modules(import_module(package).__path__))
        known = [module for module in known if re.search(r"_v[0-9]+$", module)] or known
        return f"env_args.key={key}: there is no module {missing}; did you mean {nearest(name, known)}?"
    return (
        f"env_args.key={key} needs the Python package {missing.partition('.')[0]}, which is not installed: rware, mpe2 "
        "and pettingzoo come with `pip install -r requirements-gymma.txt`"
    )
