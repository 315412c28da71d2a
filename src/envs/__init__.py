"""The registry of environments. An adapter and the package behind it are imported only when asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from envs.multiagentenv import EnvInfo, MultiAgentEnv
from utils.errors import UserError, nearest

__all__ = ["ENVS", "EnvInfo", "MultiAgentEnv", "env_path", "make_env", "make_env_from_path", "task_name"]

ENVS: dict[str, str] = {  # the name in a config -> "module:Class"
    "gymma": "envs.gymma:GymmaEnv",
    "lbf": "envs.lbf:LBFEnv",
    "mamujoco": "envs.mamujoco:MAMuJoCoEnv",
    "matrix_game": "envs.matrix_game:MatrixGameEnv",
}
REQUIREMENTS: dict[str, str] = {  # module -> the file that names its packages, where it is not requirements.txt
    "envs.mamujoco": "requirements-mamujoco.txt",
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
    return _env_class(path)(**env_args)


def task_name(name: str, env_args: Mapping[str, Any]) -> str:
    """Return a label for the results folder; raise `UserError` for a bad name, task or missing package."""
    return _env_class(env_path(name)).task_name(env_args)


def _env_class(path: str) -> type[MultiAgentEnv]:
    module, _, class_name = path.partition(":")
    try:
        return getattr(import_module(module), class_name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package == module.partition(".")[0]:
            raise
        raise UserError(
            f"{path} needs the Python package {package}, which is not installed: "
            f"run `pip install -r {REQUIREMENTS.get(module, 'requirements.txt')}`"
        ) from missing
