"""What SMAC and SMACv2 have in common: one StarCraft II game per environment, started when it is needed.

The packages are imported when an environment is made, never with this file: they need StarCraft II's messages
(`sc2_protocol`) and parse command-line flags of their own.
"""

import os
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import Any, ClassVar

import numpy as np

from envs.entities import Entities, laid_out
from envs.multiagentenv import EnvInfo, EpisodeLostError, View, ViewedEnv
from envs.sc2_protocol import load_protocol
from utils.errors import RunFailedError, UserError
from utils.naming import to_install

INSTALL = "bash install_sc2.sh sets it up (docs/sc2.md)"
REQUIREMENTS = to_install("requirements-sc2.txt --no-deps")
PACKAGES = ("smac", "smacv2")
_WAITS = 2  # times `game_timeout` for a reset: for the start of a game, and for its units
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class StarCraftEnv(ViewedEnv):
    """Battles of a map of SMAC or SMACv2 against the built-in AI, through the real package.

    A battle terminates when one side is dead and is truncated at the map's own limit (PyMARL's
    `continuing_episode=True`). Info: `battle_won` (1 or 0), `dead_allies`, `dead_enemies`. Actions: no-op, which is all
    that the dead may do, stop, north, south, east, west, where there is a field of view its directions, then an attack
    on each enemy (for a medivac: healing an ally). Observations and state are float32 and as the package orders them;
    the dead see zeros.

    A game gets the seed of the first episode that it plays; later battles depend on those before them in the same game,
    so episodes cannot be repeated. A game that dies, answers with an error or does not answer within `game_timeout`
    seconds is ended, by its process id, and `EpisodeLostError` raised; the next episode starts another one.
    """

    package: ClassVar[str]

    def __init__(self, map_name: str, game_timeout: int, **rules: Any) -> None:
        self._rules = {"map_name": map_name, **rules}
        self._timeout = game_timeout
        import_suite(self.package)
        self._game = self._new_game(seed=None)
        self._begun, self._ended, self._restarts = False, 0, 0
        self._check_installation()
        facts = self._game.get_env_info()
        obs_size = self._obs_size(facts["obs_shape"])
        of_obs = rules.get("obs_instead_of_state", False)
        self.info = EnvInfo(
            n_agents=facts["n_agents"],
            n_actions=facts["n_actions"],
            obs_size=obs_size,
            state_size=facts["n_agents"] * obs_size if of_obs else facts["state_shape"],
            episode_limit=facts["episode_limit"],
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=True,
            noop=0,
            entities=self._entities(obs_size, facts["n_actions"]),
            repeatable=False,
        )

    @abstractmethod
    def _make(self, rules: dict[str, Any], seed: int | None) -> Any:
        """Return the package's environment; its game starts with the first reset."""

    def _obs_size(self, announced: int) -> int:
        """Return how long observations are, where the package announces another number."""
        return announced

    def _begin(self, seed: int) -> None:
        """Begin a battle in the game that there is; what the package draws outside the game comes from `seed`."""
        self._game.reset()

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the suite's package."""
        return (cls.package,)

    @classmethod
    def games(cls, env_args: Mapping[str, Any]) -> dict[str, str]:
        """Return the game's version and build: results of different ones are not comparable."""
        import_suite(cls.package)
        build = _installed_game(env_args["game_version"]).version.build_version
        known = import_module("pysc2.run_configs.lib").VERSIONS.values()
        names = [version.game_version for version in known if version.build_version == build]
        return {"StarCraft II": f"{' or '.join(names) or 'of unknown version'} (build {build})"}

    def reset(self, seed: int) -> None:
        """Begin a battle, in a new game where there is none or where its first battle has not ended.

        For the packages count in the first battle what the enemies are worth: begun twice, it would count them twice.
        """
        if self._begun and self._ended == 0:
            self._end_game()
        if not self._begun:
            self._game = self._new_game(int(seed))
        self._begun = True
        import_module("absl.flags").FLAGS.sc2_timeout = self._timeout
        with self._losing(), self._watched(), _keeping_library_path():
            self._begin(int(seed))
            self._look()

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        """Take one joint action, (N,) integers."""
        game = self._game
        timeouts = game.timeouts
        with self._losing():
            reward, over, info = game.step(actions.tolist())
            self._look()
        truncated = game.timeouts > timeouts
        self._ended += over
        figures = {key: float(info[key]) for key in ("battle_won", "dead_allies", "dead_enemies")}
        return float(reward), bool(over) and not truncated, truncated, figures

    def _look(self) -> None:
        game = self._game
        self.view = View(
            np.array(game.get_obs(), dtype=np.float32),
            np.asarray(game.get_state(), dtype=np.float32),
            np.array(game.get_avail_actions(), dtype=bool),
        )

    def get_stats(self) -> dict[str, float]:
        """Return how many games were lost, and so started anew."""
        return {"games_restarted": float(self._restarts)}

    def action_names(self) -> Sequence[str]:
        """Return no-op, stop, north, south, east, west, look 0, …, attack 0, …"""
        moves = ["no-op", "stop", "north", "south", "east", "west"]
        looks = [f"look {direction}" for direction in range(self._game.n_actions_no_attack - len(moves))]
        targets = range(self.info.n_actions - self._game.n_actions_no_attack)
        return [*moves, *looks, *(f"attack {target}" for target in targets)]

    def save_replay(self, folder: Path) -> None:
        """Write one SC2Replay into `folder`: all battles that the running game has played."""
        if not self._begun:
            return
        game = self._package_env()
        game.replay_dir = str(folder.resolve())
        try:
            game.save_replay()
        except _ways_to_lose() as why:
            raise RunFailedError(f"the replay could not be had from the game: {_one_line(why)}") from why

    def close(self) -> None:
        """End the game."""
        self._end_game()

    def _new_game(self, seed: int | None) -> Any:
        game = self._make(self._rules, seed)
        self._game = game
        # The packages answer a lost game with a new one, in the middle of an episode and twice in an unlucky case.
        self._package_env().full_restart = _refuse_to_restart
        return game

    def _entities(self, obs_size: int, n_actions: int) -> Entities:
        """Return how the packages lay an observation out: where one may go, enemies, allies, oneself, the time."""
        game = self._package_env()
        n_enemies, enemy = game.get_obs_enemy_feats_size()
        n_allies, ally = game.get_obs_ally_feats_size()
        move = game.get_obs_move_feats_size()
        rest = obs_size - move - n_enemies * enemy - n_allies * ally
        blocks = [(None, 1, move), ("enemy", n_enemies, enemy), ("ally", n_allies, ally), (None, 1, rest)]
        return laid_out(blocks, {"enemy": tuple(range(n_actions - n_enemies, n_actions))})

    def _package_env(self) -> Any:
        """Return the package's `StarCraft2Env`, below whatever wraps it."""
        return self._game

    def _check_installation(self) -> None:
        game = _installed_game(self._rules["game_version"])
        program = Path(game.data_dir, "Versions", f"Base{game.version.build_version:05d}", "SC2_x64")
        if sys.platform == "linux" and not os.access(program, os.X_OK):
            raise UserError(f"the game {program} cannot be run; {INSTALL}")
        map_file = Path(game.data_dir, "Maps", import_module("pysc2.maps").get(self._package_env().map_name).path)
        if not map_file.exists():
            raise UserError(f"the map {map_file} is missing: {INSTALL}")

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Turn the loss of the game into the loss of the episode."""
        self._gave_up = False
        try:
            yield
        except _ways_to_lose() as why:
            self._restarts += 1
            self._end_game()
            said = why.__context__ if isinstance(why, _GameLostError) else why
            if self._gave_up:
                said = f"no battle began within {_WAITS * self._timeout} s (game_timeout={self._timeout})"
            raise EpisodeLostError(f"the game was lost: {_one_line(said)}") from why

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End a game that keeps a reset waiting: its units may never appear, which the packages wait for."""
        timer = Timer(_WAITS * self._timeout, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._gave_up = True
        self._kill()

    def _kill(self) -> None:
        process = self._package_env()._sc2_proc
        if process is not None and process.pid:
            os.kill(process.pid, signal.SIGKILL)  # it keeps nothing that a farewell would save

    def _end_game(self) -> None:
        self._begun, self._ended = False, 0
        self._kill()
        self._package_env().close()


class _GameLostError(Exception):
    """Raised where the package would start the game anew; its context says what happened."""


def _refuse_to_restart() -> None:
    raise _GameLostError


def _ways_to_lose() -> tuple[type[Exception], ...]:
    protocol, process = import_module("pysc2.lib.protocol"), import_module("pysc2.lib.sc_process")
    controller = import_module("pysc2.lib.remote_controller")
    return (
        _GameLostError, protocol.ConnectionError, protocol.ProtocolError, process.SC2LaunchError,
        controller.ConnectError, controller.RequestError, import_module("websocket").WebSocketException,
    )  # fmt: skip


def import_suite(package: str) -> None:
    """Import a suite's package; raise `UserError` or ModuleNotFoundError where it cannot be."""
    if f"{package}.env" in sys.modules:
        return
    (other,) = set(PACKAGES) - {package}
    if f"{other}.env" in sys.modules:
        raise UserError(f"{package} and {other} cannot be used in one process: both bring maps of the same names")
    if find_spec(package) is None:
        raise ModuleNotFoundError(name=package)
    if find_spec(f"{package}.env") is None:
        raise UserError(
            f"the Python package {package} that is installed is another one of that name (PyPI's smac is an "
            f"optimiser): run `pip uninstall {package}`, then `{REQUIREMENTS}`"
        )
    load_protocol()
    import_module(f"{package}.env")
    if sys.platform == "linux":
        import_module("pysc2.lib.sc_process").StarcraftProcess._launch = _launch


def _installed_game(version: str | None) -> Any:
    """Return pysc2's view of the installation under SC2PATH; raise `UserError` where there is none that can be used."""
    place = os.environ.get("SC2PATH")
    said = f"SC2PATH={place}" if place else "SC2PATH is not set"
    try:
        with _keeping_library_path():
            return import_module("pysc2.run_configs").get(version=version)
    except (FileNotFoundError, NotADirectoryError) as why:
        raise UserError(f"StarCraft II is not there: no {why.filename} ({said}); {INSTALL}") from why
    except import_module("pysc2.lib.sc_process").SC2LaunchError as why:
        raise UserError(f"StarCraft II cannot be used: {why} ({said}); {INSTALL}") from why
    except ValueError as why:
        raise UserError(f"env_args.game_version={version}: {why} ({said})") from why


def _launch(process: Any, run_config: Any, args: Sequence[str], **_: Any) -> subprocess.Popen:
    """Start a game that ends with the process that started it, however that ends: pysc2's own would stay."""
    try:
        return subprocess.Popen(args, cwd=run_config.cwd, env=run_config.env, preexec_fn=_end_with_parent)
    except OSError as why:
        raise import_module("pysc2.lib.sc_process").SC2LaunchError(f"Failed to launch {args[0]}: {why}") from why


_libc = CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _keeping_library_path() -> Iterator[None]:
    """Undo what pysc2 does to LD_LIBRARY_PATH behind Python's back: processes started later would inherit it."""
    try:
        yield
    finally:
        if (before := os.environ.get("LD_LIBRARY_PATH")) is None:
            os.unsetenv("LD_LIBRARY_PATH")
        else:
            os.putenv("LD_LIBRARY_PATH", before)


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split())[:300]
