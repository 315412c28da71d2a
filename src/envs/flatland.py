"""Flatland: trains on one network of tracks, each of which has to be at its station in time; `flatland-rl` 4.3.0.

The package asks for NumPy 1 and for much that its rules do not use; `requirements-flatland.txt` takes what they do.
"""

import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from flatland.envs.line_generators import sparse_line_generator
from flatland.envs.observations import Node, TreeObsForRailEnv
from flatland.envs.predictions import ShortestPathPredictorForRailEnv
from flatland.envs.rail_env import RailEnv
from flatland.envs.rail_generators import sparse_rail_generator
from flatland.envs.step_utils.states import TrainState

from envs.multiagentenv import EnvInfo, View, ViewedEnv

ACTIONS = ("go on", "left", "forward", "right", "stop")
NOOP = 0
BRANCHES = TreeObsForRailEnv.tree_explored_actions_char
TOLD = len(Node._fields) - 1  # numbers of a node, without its children
CELLS = 100  # distances are seen in hundreds of cells
LONGEST = 1000  # and no farther than this
OWN = len(TrainState) + 3
PREDICTED = 30  # steps ahead in which the package looks for trains on the same track


class FlatlandEnv(ViewedEnv):
    """Trains that leave when they may, share tracks, and have to arrive; Mohanty et al. (2020), arXiv:2012.05893.

    Rewards are the package's: nothing on the way, at the end minus the steps that a train is late, or would be by the
    shortest way that is left. An episode terminates when all trains have arrived or their time is up, which is the
    package's or `time_limit`: what is owed is paid then, so nothing follows. An arrived train has the no-op alone.
    Info: `arrived`, the share of trains that have. An observation has the package's tree of tracks ahead, and the
    train's own state and times; the state is all observations in a row.
    """

    def __init__(
        self, trains: int, side: int, cities: int, depth: int, map_seed: int | None, time_limit: int,
        common_reward: bool,
    ) -> None:  # fmt: skip
        self._depth, self._limit, self._common_reward = depth, time_limit, common_reward
        obs_size = OWN + TOLD * sum(len(BRANCHES) ** level for level in range(depth + 1))
        self.info = EnvInfo(
            n_agents=trains,
            n_actions=len(ACTIONS),
            obs_size=obs_size,
            state_size=trains * obs_size,
            episode_limit=time_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
            noop=NOOP,
            state_of_obs=True,
            n_rewards=1 if common_reward else trains,
            listed=("arrived",),
        )
        with _alone():
            self._game = RailEnv(
                side, side, number_of_agents=trains, rail_generator=_networks(cities, map_seed),
                line_generator=sparse_line_generator(),
                obs_builder_object=TreeObsForRailEnv(depth, ShortestPathPredictorForRailEnv(PREDICTED)),
            )  # fmt: skip

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the trains, the side and the cities, and the network's seed where it is one."""
        of_one = "" if env_args["map_seed"] is None else f"-map{env_args['map_seed']}"
        return f"flatland-{env_args['trains']}t-{env_args['side']}x{env_args['side']}-{env_args['cities']}c{of_one}"

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the package that holds the rules."""
        return ("flatland-rl",)

    def reset(self, seed: int) -> None:
        """Begin a new episode: trains and timetable, and without `map_seed` the network, hang on `seed` alone."""
        with _alone():
            trees, _ = self._game.reset(random_seed=int(seed))
        self._game._max_episode_steps = min(self._game._max_episode_steps, self._limit)
        self.view = self._seen(trees)

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        """Take one joint action, (N,) integers, see `ACTIONS`."""
        trees, rewards, done, _ = self._game.step(dict(enumerate(actions.tolist())))
        self.view = self._seen(trees)
        each = np.array([rewards[train] for train in range(self.info.n_agents)], dtype=np.float64)
        arrived = float(np.mean([train.state == TrainState.DONE for train in self._game.agents]))
        return float(each.sum()) if self._common_reward else each, bool(done["__all__"]), False, {"arrived": arrived}

    def action_names(self) -> Sequence[str]:
        """Return the names of `ACTIONS`."""
        return ACTIONS

    def close(self) -> None:
        """Do nothing: a game holds nothing."""

    def _seen(self, trees: Mapping[int, Node]) -> View:
        N, game = self.info.n_agents, self._game
        obs = np.zeros((N, self.info.obs_size), dtype=np.float32)
        available = np.ones((N, len(ACTIONS)), dtype=bool)
        now, limit = game._elapsed_steps, self._limit
        for i, train in enumerate(game.agents):
            obs[i, train.state] = 1
            times = game._max_episode_steps, train.earliest_departure, train.latest_arrival
            obs[i, len(TrainState) : OWN] = [(time - now) / limit for time in times]
            row: list[float] = []
            self._lay_out(trees[i], self._depth, row)
            tree = np.array(row, dtype=np.float32)
            obs[i, OWN:] = np.where(np.isfinite(tree), tree, -1).clip(-1, LONGEST) / CELLS
            available[i, NOOP + 1 :] = train.state != TrainState.DONE
        return View(obs, obs.reshape(-1), available)

    def _lay_out(self, node: Node | float | None, depth: int, row: list[float]) -> None:
        """Append a node's numbers and those of all below it, -1 for tracks that are not there."""
        there = isinstance(node, Node)
        row += map(float, node[:TOLD]) if there else [-1.0] * TOLD
        for branch in BRANCHES if depth else ():
            self._lay_out(node.childs.get(branch) if there else None, depth - 1, row)


def _networks(cities: int, map_seed: int | None) -> Callable[..., tuple[Any, Any]]:
    """Return what lays the tracks: from the episode's random numbers, or always from those of `map_seed`.

    The package's generator takes a seed too, and does nothing with it.
    """
    lay = sparse_rail_generator(max_num_cities=cities)
    if map_seed is None:
        return lay
    laid: list[tuple[Any, Any]] = []

    def once(width: int, height: int, trains: int, resets: int, drawn: Any) -> tuple[Any, Any]:
        if not laid:
            laid.append(lay(width, height, trains, resets, np.random.RandomState(map_seed)))
        return laid[0]

    return once


@contextmanager
def _alone() -> Iterator[None]:
    """Keep what the package does to Python's own random numbers, and its warnings of networks, to itself."""
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)
