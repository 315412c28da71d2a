"""The registry of environments. An adapter and the package behind it are imported only when asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from envs.batch import EnvsInTurn
from envs.multiagentenv import EnvBatch, EnvInfo, MultiAgentEnv
from envs.task_code import needs
from envs.trust import is_trusted, place_of, trust, trusted_file, trusted_folders
from utils.errors import UserError, nearest
from utils.naming import to_install, typed

__all__ = [
    "ENVS", "EnvBatch", "EnvInfo", "MultiAgentEnv", "check_archived", "check_keeps_replays", "env_path",
    "make_batch_from_path", "make_env", "make_env_from_path", "place_of", "task_name", "trust", "trust_named",
    "trusted_file", "versions",
]  # fmt: skip

ENVS: dict[str, str] = {  # the name in a config -> "module:Class"
    "flatland": "envs.flatland:FlatlandEnv",
    "gymma": "envs.gymma:GymmaEnv",
    "lbf": "envs.lbf:LBFEnv",
    "mamujoco": "envs.mamujoco:MAMuJoCoEnv",
    "matrix_game": "envs.matrix_game:MatrixGameEnv",
    "overcooked": "envs.overcooked:OvercookedEnv",
    "own": "envs.own:OwnEnv",
    "pymarl": "envs.pymarl:PyMARLEnv",
    "sc2": "envs.sc2:SC2Env",
    "sc2v2": "envs.sc2v2:SC2V2Env",
    "smaclite": "envs.smaclite:SMACliteEnv",
    "smax": "envs.smax:SMAXEnv",
}
REQUIREMENTS: dict[str, str] = {  # module -> what `pip install -r` is given, if not requirements.txt
    "envs.flatland": "requirements-flatland.txt --no-deps",
    "envs.gymma": "requirements-gymma.txt",
    "envs.mamujoco": "requirements-mamujoco.txt",
    "envs.overcooked": "requirements-smax.txt",
    "envs.sc2": "requirements-sc2.txt --no-deps",
    "envs.sc2v2": "requirements-sc2.txt --no-deps",
    "envs.smaclite": "requirements-smaclite.txt --no-deps",
    "envs.smax": "requirements-smax.txt",
}


def env_path(name: str) -> str:
    """Return the registered "module:Class" of an environment; raise `UserError` for an unknown name."""
    if name not in ENVS:
        raise UserError(f"unknown environment {name!r}: did you mean {nearest(name, ENVS)}?")
    return ENVS[name]


def make_env(name: str, env_args: Mapping[str, Any]) -> MultiAgentEnv:
    """Build a registered environment; raise `UserError` for a bad name, task or missing package."""
    return make_env_from_path(env_path(name), env_args)


def make_env_from_path(path: str, env_args: Mapping[str, Any]) -> MultiAgentEnv:
    """Build the environment at "module:Class": for worker processes, which lack names registered later."""
    with _installed(path):
        return _env_class(path)(**env_args)


def make_batch_from_path(path: str, env_args: Mapping[str, Any], n: int) -> EnvBatch:
    """Build n environments of "module:Class" that are stepped together in this process."""
    with _installed(path):
        env_class = _env_class(path)
        batch = env_class.make_batch(env_args, n)
        return EnvsInTurn(lambda: env_class(**env_args), n) if batch is None else batch


def task_name(name: str, env_args: Mapping[str, Any]) -> str:
    """Return a label for the results folder; raise `UserError` for a bad name, task or missing package."""
    path = env_path(name)
    with _installed(path):
        return _env_class(path).task_name(env_args)


def check_archived(name: str, env_args: Mapping[str, Any]) -> None:
    """Raise `UserError` where an archive's settings would have a package imported, and so run, that nobody named."""
    path = env_path(name)
    with _installed(path):
        env_class = _env_class(path)
    package = env_class.unknown_package(env_args)
    if package is None or is_trusted(package):
        return
    if (place := place_of(package)) is None:
        folders = trusted_folders(package)
        where = f"{' or '.join(folders)}, where you have named it" if folders else "the folder that holds its file"
        raise UserError(f"the archive's task is in {package}, which is not found here: start from {where}")
    raise UserError(
        f"the archive's env_args would import the package {package} ({place}), and so run its code: if you trust it, "
        f"say so once: {typed('doctor')} --trust {package}"
    )


def trust_named(name: str, env_args: Mapping[str, Any]) -> None:
    """Remember that this user has named the settings' package by himself, see `envs.trust`."""
    path = env_path(name)
    with _installed(path):
        package = _env_class(path).unknown_package(env_args)
    if package is not None:
        trust(package)


def check_keeps_replays(name: str) -> None:
    """Raise `UserError` for an environment that has no replays to save."""
    path = env_path(name)
    with _installed(path):
        if _env_class(path).save_replay is MultiAgentEnv.save_replay:
            raise UserError(f"save_replay=True: {name} keeps no replays; src/record.py films many environments")


def versions(name: str, env_args: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of what decides what the task is: packages, by pip's names, and games."""
    path = env_path(name)
    with _installed(path):
        env_class = _env_class(path)
        return {package: _version(package) for package in env_class.packages(env_args)} | env_class.games(env_args)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a folder on the path, not put there by pip
        return "unknown"


def _env_class(path: str) -> type[MultiAgentEnv]:
    module, _, class_name = path.partition(":")
    return getattr(import_module(module), class_name)


@contextmanager
def _installed(path: str) -> Iterator[None]:
    """Answer for a package that is not installed with the command that installs it."""
    module = path.partition(":")[0]
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package == module.partition(".")[0]:
            raise
        requirements = REQUIREMENTS.get(module, "requirements.txt")
        raise UserError(f"{path} {needs(missing.name or '')}: run `{to_install(requirements)}`") from missing
