"""What `mmsa_pymarl` offers to programs and notebooks. Mistakes raise `utils.errors.UserError`, one line each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comparison.frames import load_runs
from deployment.agents import Agents, load_agents
from envs import ENVS, MultiAgentEnv
from envs import make_env as make_registered
from settings import ALGS, add_file, add_learner, find_run, resolve, resume_options, resumed_settings
from settings import ENVS as ENV_FILES
from training.start import work
from utils.errors import UserError
from utils.locks import holding
from utils.naming import SRC

__all__ = [
    "Agents", "load_agents", "load_runs", "make_env", "register_env", "register_learner", "resume", "train",
]  # fmt: skip
CONFIG_DIR = SRC / "config"


def train(config: str, env_config: str, settings: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """Train as `mmsa train --config=… --env-config=… with …` does, and return the run's folder.

    Args:
        config: the method, `mmsa` for one.
        env_config: the environment, `lbf` for one.
        settings: by their dotted names, `{"env_args.key": …}`; values as Python has them, or as text.
        more: settings without a dot.

    Raises `UserError` before anything is written for a mistake, `RunFailedError` where the run fails.
    """
    given = _texts({**(settings or {}), **more})
    return work(resolve(config, env_config, given, CONFIG_DIR), archived=False, given=given)


def resume(run: str | Path, **changes: Any) -> Path:
    """Go on with a run that was stopped, as `mmsa train resume=…` does, and return its folder; `t_max` may change."""
    options, texts = resume_options(_texts(changes), CONFIG_DIR)
    folder = find_run(str(run), texts, CONFIG_DIR)
    with holding(folder) as said:
        return work(resumed_settings(folder, texts, CONFIG_DIR), True, folder, options, said)


def make_env(env_config: str, **env_args: Any) -> MultiAgentEnv:
    """Return an environment by its config's name, with some of its `env_args` changed; the caller closes it."""
    given = _texts({f"env_args.{name}": value for name, value in env_args.items()})
    settings = resolve("qmix", env_config, given, CONFIG_DIR)
    return make_registered(settings["env"], settings["env_args"])


def register_env(env: type[MultiAgentEnv] | str, config: str | Path) -> None:
    """Register an environment of one's own: `--env-config=NAME` then takes it, NAME being the config file's stem.

    Args:
        env: the class, or the text `module:Class`, which is imported when it is asked for. Worker processes import it
            by that name.
        config: a settings file as those in `src/config/envs`, whose `env` is the name that the class is registered by.
    """
    path = Path(config)
    add_file(ENV_FILES, path)
    name = path.stem
    where = env if isinstance(env, str) else f"{env.__module__}:{env.__qualname__}"
    if ENVS.get(name, where) != where:
        raise UserError(f"there is an environment {name} already ({ENVS[name]}): give the file another name")
    ENVS[name] = where


def register_learner(learner: Any, config: str | Path) -> None:
    """Register a learner of one's own: `--config=NAME` then takes it, NAME being the config file's stem.

    Args:
        learner: the class, a `learners.learner.Learner`, or the text `module:Class`, imported when it is asked for.
        config: a settings file as those in `src/config/algs`; it says `learner: NAME`, and after `base:` what it is
            based on.
    """
    path = Path(config)
    add_file(ALGS, path)
    add_learner(path.stem, learner)


def _texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as a command line would give them."""
    return {name: value if isinstance(value, str) else _text(value) for name, value in settings.items()}


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
