"""What `config.json` says beyond the settings, so that EPyMARL's scripts read our archives: two words at its top.

They repeat what `env_args` says, and are no settings: whoever reads an archive here drops them.
"""

from collections.abc import Mapping
from typing import Any

FOR_HOSTS = {"common_reward": True, "reward_scalarisation": "sum"}  # with what holds where an environment has no such


def archived(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as `config.json` has them: with the words at the top that EPyMARL looks for there."""
    return {**settings, **{word: settings["env_args"].get(word, default) for word, default in FOR_HOSTS.items()}}
