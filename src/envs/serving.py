"""What runners ask of an environment in one go, here or in a process of its own.

This file imports no Torch, so a worker process starts quickly and stays small.
"""

import signal
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from envs import make_env_from_path
from envs.multiagentenv import MultiAgentEnv


class View(NamedTuple):
    """What an environment shows before an action: obs (N, O), state (S,), avail_actions (N, A) bool."""

    obs: np.ndarray
    state: np.ndarray
    avail_actions: np.ndarray


class Outcome(NamedTuple):
    """What a joint action led to, and the view after it."""

    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, float]
    view: View


def view_of(env: MultiAgentEnv) -> View:
    """Return what an environment shows now."""
    return View(env.get_obs(), env.get_state(), env.get_avail_actions())


def outcome_of(env: MultiAgentEnv, actions: np.ndarray) -> Outcome:
    """Take a joint action (N,) and return what it led to."""
    reward, terminated, truncated, info = env.step(actions)
    return Outcome(reward, terminated, truncated, info, view_of(env))


def serve(pipe: Connection, env_path: str, env_args: Mapping[str, Any]) -> None:
    """Serve one environment over a pipe until told to close, or until the other end is gone.

    Sends the environment's `EnvInfo` first, then answers ("reset", seed) with a `View` and ("step", actions) with an
    `Outcome`, each as ("ok", value), or ends with ("error", traceback). Ctrl-C is the parent's to handle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    env = None
    try:
        env = make_env_from_path(env_path, env_args)
        pipe.send(("ok", env.info))
        while True:
            command, argument = pipe.recv()
            if command == "close":
                return
            if command == "reset":
                env.reset(argument)
                pipe.send(("ok", view_of(env)))
            else:
                pipe.send(("ok", outcome_of(env, argument)))
    except (EOFError, ConnectionError):
        return  # the parent is gone
    except Exception:  # noqa: BLE001  the parent raises it again, with this traceback
        pipe.send(("error", traceback.format_exc()))
    finally:
        if env is not None:
            env.close()
