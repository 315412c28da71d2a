"""VMAS's scenarios as Gymnasium's environments of several agents: importing this registers them as `vmas-balance` etc.

VMAS asks for the old `gym` and takes nothing but spaces of it: it is given Gymnasium's in its place, whether or not the
old one is there. Actions are discrete unless `continuous_actions`, as in EPyMARL.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch as th


@contextmanager
def _gymnasium_for_gym() -> Iterator[None]:
    before = sys.modules.get("gym")
    sys.modules["gym"] = gymnasium
    try:
        yield
    finally:
        del sys.modules["gym"]
        if before is not None:
            sys.modules["gym"] = before


with _gymnasium_for_gym():
    import vmas
    from vmas.simulator.environment import Environment


class Scenario(gymnasium.Env):
    """One copy of a scenario. Its draws come from its own seed alone: the package keeps one generator for all."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self, scenario: str, continuous_actions: bool = False, render_mode: str | None = None, **kwargs: Any
    ) -> None:
        self.render_mode, self._random = render_mode, list(Environment.vmas_random_state)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Scenario kwargs: .* not used")  # a mistyped one
            warnings.filterwarnings("ignore", message="Box")
            self._env = vmas.make_env(
                scenario, num_envs=1, continuous_actions=continuous_actions, terminated_truncated=True, **kwargs
            )
        self.action_space, self.observation_space = self._env.action_space, self._env.observation_space

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """Begin an episode."""
        seen, infos = self._drawing(self._env.reset, seed=None if seed is None else seed % 2**32, return_info=True)
        return _numbers(seen), _figures(infos)

    def step(self, actions: Sequence[Any]) -> tuple[Any, ...]:
        """Take the joint action, one member of each agent's space."""
        given = [th.as_tensor(np.reshape(action, (1, -1)), dtype=th.float32) for action in actions]
        seen, rewards, terminated, truncated, infos = self._drawing(self._env.step, given)
        each = [float(reward) for reward in rewards]
        return _numbers(seen), each, bool(terminated), bool(truncated), _figures(infos)

    def _drawing(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        shared = Environment.vmas_random_state
        shared[:] = self._random
        told = call(*given, **named)
        self._random = list(shared)
        return told

    def render(self) -> np.ndarray:
        """Return the package's picture."""
        return self._env.render(mode="rgb_array")


def _numbers(seen: Sequence[th.Tensor]) -> tuple[np.ndarray, ...]:
    return tuple(each[0].numpy() for each in seen)


def _figures(infos: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return the single numbers in each agent's info."""
    return [
        {name: float(value) for name, value in info.items() if isinstance(value, th.Tensor) and value.numel() == 1}
        for info in infos
    ]


for name in (*vmas.scenarios, *vmas.debug_scenarios, *vmas.mpe_scenarios):
    gymnasium.register(f"vmas-{name}", entry_point=Scenario, kwargs={"scenario": name})
