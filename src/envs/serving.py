"""One environment in a process of its own, at the other end of a pipe.

This file imports no Torch, so a worker process starts quickly and stays small.
"""

import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from envs import make_env_from_path
from envs.batch import reset_one, step_one
from envs.multiagentenv import MultiAgentEnv
from utils.errors import RunFailedError, UserError

SHOW_STACK = signal.SIGRTMIN  # lets a worker write to stderr where it is, whatever keeps it
NOT_FOR_WORKERS = {signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}  # the parent's to answer
STDERR = 2  # the file descriptor: `sys.stderr` may be None
CLOSE_SECONDS = 5.0  # how long an environment may take to close


def serve(pipe: Connection, env_path: str, env_args: Mapping[str, Any]) -> None:
    """Serve one environment over a pipe until told to close, or until the other end is gone.

    Sends the environment's `EnvInfo` first, then answers ("reset", seed) with a `View`, ("step", actions) with an
    `Outcome` (or either with an `EpisodeLostError`), ("stats", None) with numbers and ("save_replay", folder) with
    None, each as ("ok", value). Or it ends with ("mistake", line) of a `UserError`, ("failure", line) of a
    `RunFailedError` or ("error", traceback) of another. What asks a run to stop is the parent's to answer.
    """
    for signum in NOT_FOR_WORKERS:
        signal.signal(signum, signal.SIG_IGN)
    faulthandler.enable(STDERR)  # a crash in C shows where
    faulthandler.register(SHOW_STACK, STDERR, all_threads=False)
    Thread(target=_end_after_parent, daemon=True).start()
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
    except Exception:  # noqa: BLE001  the parent tells, with this traceback
        pipe.send(("error", traceback.format_exc()))
    finally:
        if env is not None:
            env.close()


class Served:
    """One environment that is asked without a pipe: as `serve` answers, and it never raises.

    Besides the commands of `serve` there are "info", with `EnvInfo` as the answer, and "close". The environment is made
    by the first question, and none is left of one that has raised or was closed: the next question makes another.
    """

    def __init__(self, env_path: str, env_args: Mapping[str, Any]) -> None:
        self.made_of = (env_path, env_args)
        self.env: MultiAgentEnv | None = None

    def ask(self, command: str, argument: Any) -> tuple[str, Any]:
        """Return ("ok", answer), or a word and a text that say what went wrong."""
        try:
            return "ok", self._answer(command, argument)
        except UserError as mistake:
            told = "mistake", str(mistake)
        except RunFailedError as failure:
            told = "failure", str(failure)
        except Exception:  # noqa: BLE001  who asked tells, with this traceback
            told = "error", traceback.format_exc()
        self.env = None
        return told

    def _answer(self, command: str, argument: Any) -> Any:
        if command == "close":
            env, self.env = self.env, None
            return None if env is None else env.close()
        if self.env is None:
            self.env = make_env_from_path(*self.made_of)
        return self.env.info if command == "info" else _answer(self.env, command, argument)


def _end_after_parent() -> None:
    """End this process when its parent is gone and the pipe's end has not ended it: it hangs."""
    parent_process().join()
    time.sleep(CLOSE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def _answer(env: MultiAgentEnv, command: str, argument: Any) -> Any:
    if command == "reset":
        return reset_one(env, argument)
    if command == "save_replay":
        return env.save_replay(argument)
    return step_one(env, argument) if command == "step" else env.get_stats()
