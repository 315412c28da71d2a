"""SMAC: battles of StarCraft II on the maps of the package `smac`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from envs.starcraft2 import StarCraftEnv, import_suite
from utils.errors import UserError, nearest


class SC2Env(StarCraftEnv):
    """A map of SMAC, as `3s5z`. The rules are arguments of the package's `StarCraft2Env`."""

    package = "smac"

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return the map; raise `UserError` for one that the package does not know."""
        import_suite(cls.package)
        map_name = env_args["map_name"]
        maps = import_module("smac.env.starcraft2.maps.smac_maps").get_smac_map_registry()
        if map_name not in maps:
            raise UserError(f"unknown smac map {map_name!r}: did you mean {nearest(map_name, maps)}?")
        return map_name

    def _make(self, rules: dict[str, Any], seed: int | None) -> Any:
        self.task_name(rules)
        return import_module("smac.env").StarCraft2Env(seed=seed, **rules)

    def _obs_size(self, announced: int) -> int:
        """Return one more where agents see the time: the package appends it, and leaves its announced place empty."""
        return announced + self._rules["obs_timestep_number"]
