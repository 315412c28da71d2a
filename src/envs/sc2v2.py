"""SMACv2: battles of StarCraft II whose teams and positions the package `smacv2` draws anew for every episode."""

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from envs.starcraft2 import StarCraftEnv, import_suite
from utils.errors import UserError

CAPABILITIES = Path(__file__).parents[1] / "config" / "envs" / "capabilities"
_MAP_NAME = re.compile(r"([A-Za-z]\w*?)_([1-9][0-9]?)_vs_([1-9][0-9]?)", re.ASCII)


class SC2V2Env(StarCraftEnv):
    """A task of SMACv2 by the paper's name, as `protoss_5_vs_5`: a capability configuration, allies, enemies.

    The rules are arguments of the package's `StarCraft2Env`. An episode's teams and positions follow from its seed
    alone; what the game makes of them does not.
    """

    package = "smacv2"

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the task; raise `UserError` for one without a capability configuration."""
        import_suite(cls.package)
        capabilities(env_args["map_name"])
        return env_args["map_name"]

    def _make(self, rules: dict[str, Any], seed: int | None) -> Any:
        map_name, capability_config = capabilities(rules["map_name"])
        wrapper = import_module("smacv2.env").StarCraftCapabilityEnvWrapper
        return wrapper(**rules | {"map_name": map_name}, capability_config=capability_config, seed=seed)

    def _package_env(self) -> Any:
        return self._game.env

    def _begin(self, seed: int) -> None:
        seeds = np.random.SeedSequence(seed)
        for distribution in self._game.env_key_to_distribution_map.values():
            _reseed(distribution, seeds)
        with _global_random(seed):
            super()._begin(seed)


def capabilities(task: str) -> tuple[str, dict[str, Any]]:
    """Return the map and a capability configuration of one's own for a task; raise `UserError` for an unknown one."""
    parts = _MAP_NAME.fullmatch(task)
    path = CAPABILITIES / f"{parts[1]}.yaml" if parts else None
    if path is None or not path.exists():
        known = ", ".join(sorted(known.stem for known in CAPABILITIES.glob("*.yaml")))
        raise UserError(
            f"unknown smacv2 map {task!r}: must be one of {known}, then how many against how many, as protoss_5_vs_5 "
            f"(SMAC's own maps, as 3s5z, are for --env-config=sc2; a file more in {CAPABILITIES} is a task more)"
        )
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    map_name = config.pop("map_name")
    return map_name, config | {"n_units": int(parts[2]), "n_enemies": int(parts[3])}


def _reseed(drawing: Any, seeds: np.random.SeedSequence) -> None:
    """Give the generators of one of the package's distributions, and of those inside it, seeds of their own."""
    for name, value in vars(drawing).items():
        if isinstance(value, np.random.Generator):
            setattr(drawing, name, np.random.default_rng(seeds.spawn(1)[0]))
        elif hasattr(value, "generate"):
            _reseed(value, seeds)


@contextmanager
def _global_random(seed: int) -> Iterator[None]:
    """Seed Python's own generator, with which the package shuffles, and leave it afterwards as it was."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
