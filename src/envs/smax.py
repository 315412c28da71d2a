"""SMAX, battles like SMAC's without StarCraft II, on `jaxmarl` 0.2.0 against its heuristic enemy.

This file knows the maps and imports no JAX; `envs.smax_battles` plays.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from envs.batch import BatchedEnv
from utils.errors import UserError, nearest

if TYPE_CHECKING:
    from envs.smax_battles import SMAXBattles

MAPS = (
    "3m", "8m", "25m", "2s3z", "3s5z", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z", "3s_vs_5z", "6h_vs_8z",
    "smacv2_5_units", "smacv2_10_units", "smacv2_20_units",
)  # fmt: skip
PACKAGE = "jaxmarl"


class SMAXEnv(BatchedEnv):
    """Allies against enemies that the package plays; on `smacv2_*` maps every episode draws units and positions.

    The team reward is the package's, which is the same for every ally (one of them is taken, not their sum): the
    health that the enemies lose in the step, as a share of each one's full health, averaged over enemies; and
    `won_battle_bonus` when the last enemy falls. So a won battle is worth 1 + `won_battle_bonus`.

    A battle terminates when one side is dead and is truncated after `max_steps`. Info, as in SMAC: `battle_won` (1
    when all enemies are dead, else 0), `dead_allies`, `dead_enemies`. Actions: north, east, south, west, stop, then an
    attack on each enemy; `stop` is also all that the dead may do. Their observation is 0.

    An observation is what is seen of each unit, then of oneself, and the state the package's world state, both float32
    and as the package orders them.
    """

    def __init__(
        self,
        map_name: str,
        enemy_shoots: bool,
        attack_mode: str,
        see_enemy_actions: bool,
        walls_cause_death: bool,
        won_battle_bonus: float,
        max_steps: int,
    ) -> None:
        rules = {
            "enemy_shoots": enemy_shoots,
            "attack_mode": attack_mode,
            "see_enemy_actions": see_enemy_actions,
            "walls_cause_death": walls_cause_death,
            "won_battle_bonus": won_battle_bonus,
            "max_steps": max_steps,
        }
        super().__init__(map_name=map_name, **rules)

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return `smax-` and the map, for its battles are not SMAC's; raise `UserError` for an unknown map."""
        map_name = env_args["map_name"]
        if map_name not in MAPS:
            raise UserError(f"unknown SMAX map {map_name!r}: did you mean {nearest(map_name, MAPS)}?")
        if find_spec(PACKAGE) is None:
            raise ModuleNotFoundError(name=PACKAGE)  # the registry tells how to install it
        return f"smax-{map_name}"

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the rules."""
        return (PACKAGE, "jax")

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> "SMAXBattles":
        """Return n battles that are stepped in common calls of JAX."""
        cls.task_name(env_args)
        from envs.smax_battles import SMAXBattles, game  # brings JAX, seconds to import

        return SMAXBattles(game(**env_args), n)

    def action_names(self) -> Sequence[str]:
        """Return north, east, south, west, stop, attack 0, attack 1, …"""
        return self.batch.action_names
