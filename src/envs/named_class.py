"""Tasks that are named as `module:Class`, with the arguments of the class: PyMARL's, and those with our contract."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envs.gymma_label import label, safe_name
from envs.multiagentenv import MultiAgentEnv
from envs.task_code import find_module
from utils.errors import UserError, nearest

FORM = "module:Class, as smaclite.env:SMACliteEnv or mytask:Warehouse"


class NamedClassEnv(MultiAgentEnv):
    """An environment of the class that the setting `env` names, made with `kwargs` (JSON)."""

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the class's name, then its arguments."""
        return safe_name(module_and_class(env_args["env"])[1]) + label(env_args["kwargs"])

    @classmethod
    def unknown_package(cls, env_args: Mapping[str, Any]) -> str | None:
        """Return the package of the class: all of them are unknown, but for the examples of ours."""
        package = module_and_class(env_args["env"])[0].partition(".")[0]
        return None if package == __name__.partition(".")[0] else package

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the package of the class."""
        return (module_and_class(env_args["env"])[0].partition(".")[0],)


def module_and_class(env: str) -> tuple[str, str]:
    """Return the parts of `module:Class`; raise `UserError` for another form."""
    module, colon, name = env.partition(":")
    if not colon or not all(part.isidentifier() for part in module.split(".")) or not name.isidentifier():
        raise UserError(f"env_args.env={env}: must be of the form {FORM}")
    return module, name


def class_named(env: str) -> Callable[..., Any]:
    """Import what `module:Class` names; raise `UserError` where it is not there."""
    module_name, name = module_and_class(env)
    module = find_module(module_name, f"env_args.env={env}")
    if not callable(getattr(module, name, None)):
        known = [other for other, thing in vars(module).items() if isinstance(thing, type)]
        raise UserError(f"env_args.env={env}: {module_name} has no {name}; did you mean {nearest(name, known)}?")
    return getattr(module, name)
