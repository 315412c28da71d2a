"""One environment in a process of its own, at the other end of a pipe.

This file imports no Torch, so a worker process starts quickly and stays small.
"""

import signal
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from envs import make_env_from_path
from envs.batch import reset_one, step_one
from envs.multiagentenv import MultiAgentEnv
from utils.errors import RunFailedError, UserError


def serve(pipe: Connection, env_path: str, env_args: Mapping[str, Any]) -> None:
    """Serve one environment over a pipe until told to close, or until the other end is gone.

    Sends the environment's `EnvInfo` first, then answers ("reset", seed) with a `View`, ("step", actions) with an
    `Outcome` (or either with an `EpisodeLostError`), ("stats", None) with numbers and ("save_replay", folder) with
    None, each as ("ok", value). Or it ends with ("mistake", line) of a `UserError`, ("failure", line) of a
    `RunFailedError` or ("error", traceback) of another. Ctrl-C is the parent's to handle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)  # so that the environment is closed, and with it what it has started
    env = None
    try:
        env = make_env_from_path(env_path, env_args)
        pipe.send(("ok", env.info))
        while True:
            command, argument = pipe.recv()
            if command == "close":
                return
            pipe.send(("ok", _answer(env, command, argument)))
    except (EOFError, ConnectionError):
        return  # the parent is gone
    except UserError as mistake:
        pipe.send(("mistake", str(mistake)))
    except RunFailedError as failure:
        pipe.send(("failure", str(failure)))
    except Exception:  # noqa: BLE001  the parent raises it again, with this traceback
        pipe.send(("error", traceback.format_exc()))
    finally:
        if env is not None:
            env.close()


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def _answer(env: MultiAgentEnv, command: str, argument: Any) -> Any:
    if command == "reset":
        return reset_one(env, argument)
    if command == "save_replay":
        return env.save_replay(argument)
    return step_one(env, argument) if command == "step" else env.get_stats()
