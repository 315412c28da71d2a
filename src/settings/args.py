"""The resolved settings as one frozen object, and the sizes that are learnt from the environment beside them."""

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from utils.errors import UserError


class MissingSettingError(UserError, AttributeError):
    """A part was chosen whose settings the algorithm's config does not have."""


class Args(SimpleNamespace):
    """The resolved settings as attributes, frozen; `env_args` and other groups are plain dicts. Picklable."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings are frozen: cannot set {name}; see settings.extended")

    def __getattr__(self, name: str) -> object:
        """Answer for a setting that no file of this pair of configs declares."""
        raise MissingSettingError(
            f"the setting {name} is needed and not declared here: take a config that has it (--config=mmsa, for one)"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"settings are frozen: cannot delete {name}")


def to_args(resolved: Mapping[str, Any]) -> Args:
    """Return the settings as a frozen object that shares nothing with `resolved`."""
    return Args(**copy.deepcopy(dict(resolved)))


def extended(args: Args, **learnt_sizes: object) -> Args:
    """Return a new frozen object with sizes learnt from the environment (n_agents, …) added.

    Raises ValueError when a name is taken already.
    """
    taken = sorted(vars(args).keys() & learnt_sizes.keys())
    if taken:
        raise ValueError(f"already a setting: {', '.join(taken)}")
    return to_args(vars(args) | learnt_sizes)
