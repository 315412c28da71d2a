"""What a key of Gymnasium or PettingZoo names, and how its environment is found and made.

A key is `package:Id` (the package is imported, then Gymnasium makes Id), an Id that Gymnasium knows by itself,
EPyMARL's `vmas-scenario` (see `envs.vmas_scenarios`), its `pz-family-some-name-v3`, or the module that this stands for
(`mpe2.some_name_v3` where the family is mpe, else `pettingzoo.family.some_name_v3`), any other module with PettingZoo's
`parallel_env()` or `env()`, or `module:Name` of a class or function that makes an environment of either kind. A module
may be a single file in the directory that the program is started from.
"""

import copy
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import load_env_creator

from envs.gymma_games import Game, GymnasiumGame, ParallelGame
from envs.task_code import (
    SUITES_COME_WITH,
    MisfitError,
    check_arguments,
    find_module,
    known_arguments,
    needs,
    refuse_unknown,
    running,
)
from utils.errors import UserError
from utils.naming import to_install

VMAS = "vmas-"
VMAS_ASKS = f"run `{to_install('requirements-vmas.txt --no-deps')}`"
FORM = "[package:]Id, pz-family-name-vN, module, or module:Class, as rware:rware-tiny-2ag-v2 or mytask:Warehouse"
_OWN_LIMITS = ("max_cycles", "max_episode_steps", "max_steps")  # what environments call time limits of their own

# Packages of environments that an archive's key may have imported without being asked for.
SUITES = ("gymnasium", "lbforaging", "matrixgames", "minigrid", "mpe2", "pettingzoo", "rware", "smaclite", "vmas")


class Key(NamedTuple):
    """Where a task is found: `module` is imported (None: nothing); `task` is an Id or a name in the module, or None."""

    module: str | None
    task: str | None


def parse_key(key: str) -> Key:
    """Return what a key names; raise `UserError` for one of another form."""
    if match := re.fullmatch(r"pz-([a-z0-9]+)-([a-z0-9-]+-v[0-9]+)", key):
        family, name = match[1], match[2].replace("-", "_")
        return Key(f"mpe2.{name}" if family == "mpe" else f"pettingzoo.{family}.{name}", None)
    if key.startswith(VMAS):
        return Key("vmas", key)
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", key, re.ASCII):
        return Key(key, None)
    if match := re.fullmatch(r"(?:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):)?(\w[\w./-]*)", key, re.ASCII):
        if match[1] is None and match[2].isidentifier() and match[2] not in gymnasium.registry:
            return Key(match[2], None)
        return Key(match[1], match[2])
    raise UserError(f"env_args.key={key}: must be of the form {FORM}")


def find(key: str, time_limit: int, kwargs: Mapping[str, Any]) -> Callable[[], Game]:
    """Return what makes the environment of a key, as a new one each time; raise `UserError` if there is none."""
    found, where = parse_key(key), f"env_args.key={key}"
    if key.startswith(VMAS):
        _register_scenarios(where)
    module = find_module(found.module, where, _submodules) if found.module else None
    if found.task is not None and (found.task in gymnasium.registry or not hasattr(module, found.task)):
        return _registered(where, found.task, module, time_limit, kwargs)
    make, takes = _parallel(where, module) if found.task is None else (getattr(module, found.task),) * 2
    known = known_arguments(takes)
    limits = {name: time_limit for name in _OWN_LIMITS if name in known}
    check_arguments(takes, kwargs, where, given=limits)
    return _drawn(where, partial(make, **(limits | dict(kwargs))), "render_mode" in known)


def _register_scenarios(where: str) -> None:
    try:
        import envs.vmas_scenarios  # noqa: F401  registers them
    except ModuleNotFoundError as missing:
        raise UserError(f"{where}: it {needs(missing.name or '')}: {VMAS_ASKS}") from missing


def _submodules(module: ModuleType) -> list[str]:
    known = sorted(found.name for found in iter_modules(getattr(module, "__path__", [])))
    return [name for name in known if re.search(r"_v[0-9]+$", name)] or known


def _parallel(where: str, module: ModuleType) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what makes a module's parallel environment, or its turn-based one; and what says which arguments it takes.

    PettingZoo's own functions pass all on to `raw_env`.
    """
    for name in ("parallel_env", "env", "raw_env"):
        make = getattr(module, name, None)
        if callable(make):
            return make, make if known_arguments(make) else getattr(module, "raw_env", make)
    raise UserError(
        f"{where}: this module has no parallel_env() as PettingZoo's environments have; a class in it is named as "
        f"{module.__name__}:Class"
    )


def _registered(
    where: str, task: str, module: ModuleType | None, time_limit: int, kwargs: Mapping[str, Any]
) -> Callable[[], Game]:
    try:
        spec = copy.deepcopy(gymnasium.spec(task))
    except gymnasium.error.Error as why:
        close = get_close_matches(task, [*gymnasium.registry, *(dir(module) if module else ())], cutoff=0.5)
        advice = f"did you mean {' or '.join(close)}?" if close else "is a package: missing before it?"
        what = f", and {module.__name__} has nothing of that name" if module is not None and not close else ""
        raise UserError(f"{where}: Gymnasium knows no {task}{what}; {advice}") from why
    spec.max_episode_steps, spec.order_enforce, spec.disable_env_checker = None, False, True
    # One step later than ours, so that ours, which is known to be a time limit, ends the episode.
    limits = {name: time_limit + 1 for name in _OWN_LIMITS if name in spec.kwargs}
    with running(f"{where}: import"):
        maker = spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)
    check_arguments(maker, kwargs, where, given=spec.kwargs)
    spec.kwargs |= limits | dict(kwargs)
    return _drawn(where, partial(gymnasium.make, spec), takes_render_mode=True)


def _drawn(where: str, make: partial, takes_render_mode: bool) -> Callable[[], Game]:
    """Return what makes the game of an environment, with pictures where it has them."""
    first = _made(where, make)
    modes = (getattr(first, "metadata", None) or {}).get("render_modes", ())
    with running(f"{where}: close()"):
        first.close()
    if "rgb_array" in modes and takes_render_mode:
        make = partial(make, render_mode="rgb_array")
    return partial(_game, where, make)


def _made(where: str, make: partial) -> Any:
    try:
        with running(f"{where}: making the environment"):
            try:
                return make()
            except TypeError as why:
                refuse_unknown(why, make, where)
                raise
    except ModuleNotFoundError as missing:
        raise UserError(f"{where}: it {needs(missing.name or '')}; {SUITES_COME_WITH}") from missing


def _game(where: str, make: partial) -> Game:
    """Make an environment, and the game of its kind."""
    env = _made(where, make)
    try:
        if hasattr(env, "possible_agents"):
            return ParallelGame(_at_once(where, env))
        if not hasattr(env, "action_space") or not hasattr(env, "observation_space"):
            raise UserError(
                f"{where}: {type(env).__name__} is no environment of Gymnasium (action_space, observation_space), nor "
                "a parallel one of PettingZoo (possible_agents)"
            )
        return GymnasiumGame(env)
    except MisfitError as why:
        raise UserError(f"{where}: {why}") from why


def _at_once(where: str, env: Any) -> Any:
    """Return a parallel environment, which a turn-based one becomes where it says that it may."""
    if not hasattr(env, "agent_iter"):
        return env
    if not env.metadata.get("is_parallelizable", False):
        raise UserError(
            f"{where}: its agents act in turns, and it does not say that they may act at once (is_parallelizable in "
            "its metadata): no method here plays in turns"
        )
    from pettingzoo.utils import aec_to_parallel

    return aec_to_parallel(env)
