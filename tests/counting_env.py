"""Test-only environments whose every number is known from the seed and the actions."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.action_spaces import Continuous, Discrete, MultiDiscrete
from envs.multiagentenv import EnvInfo, EpisodeLostError, MultiAgentEnv

PATH = "counting_env:CountingEnv"  # tests: monkeypatch.setitem(ENVS, "counting", PATH)
ACTING = "counting_env:ActingEnv"
SPOILT = "counting_env:SpoiltEnv"
LOSING = "counting_env:LosingEnv"
SHORTEST = 3  # steps


class CountingEnv(MultiAgentEnv):
    """Episodes of 3 to `episode_limit` steps; a draw of one more step than the limit is cut off by it.

    Observation of an agent, float32: the episode's number, the step count, the agent's index, the last action
    of every agent (-1 before the first). State: the same without the index. Everything random is drawn by
    reset, so nothing depends on which methods are called in between. Misuse raises: an action that is not
    available, a step before the first reset or after the end of an episode.
    """

    def __init__(self, n_agents: int, n_actions: int, episode_limit: int) -> None:
        self.info = EnvInfo(
            n_agents=n_agents,
            n_actions=n_actions,
            obs_size=3 + n_agents,
            state_size=2 + n_agents,
            episode_limit=episode_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
        )
        self._over = True

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        return f"counting-{env_args['n_agents']}a"

    def reset(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        limit, shape = self.info.episode_limit, (self.info.n_agents, self.info.n_actions)
        self._number = int(rng.integers(2**20))
        self._length = int(rng.integers(SHORTEST, limit + 2))
        self._worth = rng.normal(size=(limit, *shape))
        self._available = rng.random((limit + 1, *shape)) < 0.5
        always = rng.integers(shape[1], size=(limit + 1, shape[0], 1))
        np.put_along_axis(self._available, always, True, axis=-1)
        self._count = 0
        self._last = np.full(self.info.n_agents, -1)
        self._over = False

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        if self._over:
            raise RuntimeError("step without a running episode")
        agents = np.arange(self.info.n_agents)
        if not self._available[self._count, agents, actions].all():
            raise ValueError(f"actions {actions} are not all available at step {self._count}")
        reward = float(self._worth[self._count, agents, actions].sum())
        self._count += 1
        self._last = np.array(actions)
        terminated = self._count == self._length
        truncated = not terminated and self._count == self.info.episode_limit
        self._over = terminated or truncated
        return reward, terminated, truncated, {"counted": float(self._count)}

    def get_obs(self) -> np.ndarray:
        rows = [[self._number, self._count, agent, *self._last] for agent in range(self.info.n_agents)]
        return np.array(rows, dtype=np.float32)

    def get_state(self) -> np.ndarray:
        return np.array([self._number, self._count, *self._last], dtype=np.float32)

    def get_avail_actions(self) -> np.ndarray:
        return self._available[self._count]

    def close(self) -> None:
        self._over = True


class ActingEnv(MultiAgentEnv):
    """Any kind of action space, rewards of agents' own or the team's; an agent's reward is what its action adds up to.

    Three agents, episodes of `episode_limit` steps. Two numbers or parts (of 3 and 2 choices), or four actions; the
    last agent lacks the last of them, and is gone from step 2 on. Observation and state, float32: the seed as a share,
    the step, then the joint action before (zeros at first).
    """

    def __init__(self, kind: str, common_reward: bool, episode_limit: int) -> None:
        bounds = np.array([[1, 2], [1, 2], [1, 1]], dtype=np.float32)
        self.space = {
            "discrete": Discrete(),
            "continuous": Continuous(-bounds, bounds),
            "multidiscrete": MultiDiscrete((3, 2)),
        }[kind]
        width = {"discrete": 4, "continuous": 2, "multidiscrete": 5}[kind]
        self._common = common_reward
        self._available = np.ones((3, width), dtype=bool)
        self._available[2, -1] = False
        self._gone = {"discrete": [1, 0, 0, 0], "continuous": [0, 0], "multidiscrete": [1, 0, 0, 1, 0]}[kind]
        self.info = EnvInfo(
            n_agents=3,
            n_actions=width,
            obs_size=2 + 3 * self.space.size,
            state_size=2 + 3 * self.space.size,
            episode_limit=episode_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
            action_space=self.space,
            n_rewards=1 if common_reward else 3,
        )

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        return f"acting-{env_args['kind']}"

    def reset(self, seed: int) -> None:
        self._seen = np.zeros(self.info.obs_size, dtype=np.float32)
        self._seen[0] = seed / 2**32
        self._count = 0

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        shape = (3,) if self.space.kind == "discrete" else (3, self.space.size)
        assert actions.shape == shape and (actions.dtype == np.float32) == (self.space.kind == "continuous")
        rewards = actions.reshape(3, -1).sum(axis=1).astype(np.float64)
        self._count += 1
        self._seen[1:] = self._count, *actions.reshape(-1)
        truncated = self._count == self.info.episode_limit
        return float(rewards.sum()) if self._common else rewards, False, truncated, {}

    def get_obs(self) -> np.ndarray:
        return np.stack([self._seen] * 3)

    def get_state(self) -> np.ndarray:
        return self._seen

    def get_avail_actions(self) -> np.ndarray:
        available = self._available.copy()
        if self._count >= 2:
            available[2] = self._gone
        return available

    def close(self) -> None:
        pass


class SpoiltEnv(ActingEnv):
    """An `ActingEnv` in which `spoilt` ("obs", "state" or "reward") has a NaN or infinity in a place from `step` on."""

    def __init__(self, spoilt: str, step: int, place: Sequence[int], value: float, **env_args: Any) -> None:
        super().__init__(**env_args)
        self._spoilt, self._step, self._place, self._value = spoilt, step, tuple(place), value

    def _spoil(self, what: str, array: Any) -> Any:
        if self._spoilt != what or self._count < self._step:
            return array
        array = np.array(array)
        array[self._place] = self._value
        return array if array.ndim else float(array)

    def get_obs(self) -> np.ndarray:
        return self._spoil("obs", super().get_obs())

    def get_state(self) -> np.ndarray:
        return self._spoil("state", super().get_state())

    def step(self, actions: np.ndarray) -> tuple[float | np.ndarray, bool, bool, dict[str, float]]:
        reward, *rest = super().step(actions)
        return self._spoil("reward", reward), *rest


class LosingEnv(CountingEnv):
    """Loses its game as the script says: `losses[seed]` are the steps at which an episode's attempts are lost in turn.

    0 is the reset. What a lost attempt shows is of another, longer episode, as with an engine that cannot repeat one.
    Attempts beyond the script succeed. With `fatal` the whole process dies, and the attempts are
    counted in files under `fatal`, so that the process that takes its place goes on with the script.
    """

    def __init__(self, losses: Mapping[int, Sequence[int]], fatal: str | None = None, **env_args: int) -> None:
        super().__init__(**env_args)
        self._losses, self._fatal = losses, fatal
        self._attempts: Counter[int] = Counter()
        self._restarts = 0

    def reset(self, seed: int) -> None:
        self._lost_at = [*self._losses.get(seed, ()), *[None] * 99][self._attempt(seed)]
        super().reset(seed if self._lost_at is None else seed + 1)
        if self._lost_at is not None:
            self._length = self.info.episode_limit + 1
        self._lose_at(0)

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        self._lose_at(self._count + 1)
        return super().step(actions)

    def get_stats(self) -> dict[str, float]:
        return {"games_restarted": float(self._restarts)}

    def _attempt(self, seed: int) -> int:
        if self._fatal is not None:
            number = len([name for name in os.listdir(self._fatal) if name.startswith(f"{seed}-")])
            open(os.path.join(self._fatal, f"{seed}-{number}"), "x").close()
            return number
        self._attempts[seed] += 1
        return self._attempts[seed] - 1

    def _lose_at(self, count: int) -> None:
        if self._lost_at == count:
            if self._fatal is not None:
                os._exit(3)
            self._over = True
            self._restarts += 1
            raise EpisodeLostError(f"the game crashed at step {count}")
