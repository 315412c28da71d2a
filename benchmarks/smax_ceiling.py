"""What a battle of SMAX can be won by: a script that focuses its fire, and a look ahead that knows the rules.

    python benchmarks/smax_ceiling.py --map 3m --battles 1024 --planned 40

The script sees the whole state: who has enemies in range attacks the weakest of them, the others walk to where the
enemies are. The look ahead tries joint actions of the present step, half of them the script's but for one agent, plays
each out several times by the script, on random numbers of its own, and takes the one with the highest mean return. So
it is no bound from above; but what it wins can be won, by a team that sees everything and agrees on what to do.
"""

import argparse
from collections.abc import Callable
from typing import Any

from answers import command
from common import CONFIG_DIR

from envs.jax_groups import jax, jnp
from envs.smax_battles import MOVES, game
from settings import resolve

NORTH, EAST, SOUTH, WEST = (MOVES.index(name) for name in ("north", "east", "south", "west"))
FAR = 1e9


class Battles:
    """One map's battles, for JAX to run many of at once."""

    def __init__(self, map_name: str, candidates: int, rollouts: int, steps: int) -> None:
        rules = resolve("mappo", "smax", {"env_args.map_name": map_name}, CONFIG_DIR)["env_args"]
        self.bonus = rules["won_battle_bonus"]  # the step with which a battle is won is worth at least this
        self.rules = game(**rules)
        self.game, self.N = self.rules.env, self.rules.n_allies
        self.candidates, self.rollouts, self.steps = candidates, rollouts, steps

    def script(self, state: Any) -> jax.Array:
        """Return the script's joint action (N,)."""
        units, N = state.state, self.N
        position, alive = units.unit_positions, units.unit_alive[N:]
        distance = jnp.linalg.norm(position[:N, None] - position[None, N:], axis=-1)
        reach = self.game.unit_type_attack_ranges[units.unit_types[:N]]
        in_range = (distance < reach[:, None]) & alive
        weakest = jnp.where(in_range, 100 * units.unit_health[N:] + distance.sum(axis=0), FAR).argmin(axis=1)
        middle = jnp.where(alive[:, None], position[N:], 0).sum(axis=0) / jnp.maximum(alive.sum(), 1)
        x, y = (middle - position[:N]).T
        walk = jnp.where(jnp.abs(x) > jnp.abs(y), jnp.where(x > 0, EAST, WEST), jnp.where(y > 0, NORTH, SOUTH))
        return jnp.where(in_range.any(axis=1), len(MOVES) + weakest, walk)

    def step(self, key: jax.Array, state: Any, actions: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        """Return the next state, the team's reward, and whether the battle is over."""
        names = self.game.agents
        _, state, rewards, over, _ = self.game.step_env(key, state, dict(zip(names, actions, strict=True)))
        return state, rewards[names[0]], over["__all__"]

    def played(self, key: jax.Array, state: Any, choose: Callable[[jax.Array, Any], jax.Array]) -> jax.Array:
        """Play a battle from a state on; return its return and whether it was won, (2,)."""

        def one(carried: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], None]:
            state, over, told = carried
            for_choice, for_step = jax.random.split(key)
            after, reward, ends = self.step(for_step, state, choose(for_choice, state))
            now = jnp.where(over, 0.0, jnp.stack([reward, (reward >= self.bonus).astype(float)]))
            state = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)
            return (state, over | ends, told + now), None

        start = (state, jnp.array(False), jnp.zeros(2))
        return jax.lax.scan(one, start, jax.random.split(key, self.steps))[0][2]

    def look_ahead(self, key: jax.Array, state: Any) -> jax.Array:
        """Return the joint action (N,) of a look ahead."""
        for_actions, for_agents, for_rollouts = jax.random.split(key, 3)
        script, K = self.script(state), self.candidates
        drawn = jax.random.randint(for_actions, (K, self.N), 0, self.rules.info.n_actions)
        own = jnp.arange(self.N) == jax.random.randint(for_agents, (K, 1), 0, self.N)
        keeps = (jnp.arange(K) % 2 == 1)[:, None] & ~own
        candidates = jnp.where(keeps, script, drawn).at[0].set(script)

        def worth(actions: jax.Array, key: jax.Array) -> jax.Array:
            now, later = jax.random.split(key)
            after, reward, over = self.step(now, state, actions)
            follows = self.played(later, after, lambda _, state: self.script(state))[0]
            return reward + jnp.where(over, 0.0, follows)

        keys = jax.random.split(for_rollouts, self.rollouts)
        return candidates[jax.vmap(lambda a: jax.vmap(lambda k: worth(a, k))(keys).mean())(candidates).argmax()]

    def many(self, key: jax.Array, n: int, choose: Callable[[jax.Array, Any], jax.Array]) -> jax.Array:
        """Return return and win of n battles, (n, 2)."""

        def battle(key: jax.Array) -> jax.Array:
            start, going_on = jax.random.split(key)
            return self.played(going_on, self.game.reset(start)[1], choose)

        return jax.jit(jax.vmap(battle))(jax.random.split(key, n))


def main() -> None:
    """Play, and print the shares of battles won."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="3m")
    parser.add_argument("--battles", type=int, default=1024, help="of the script")
    parser.add_argument("--planned", type=int, default=40, help="of the look ahead")
    parser.add_argument("--candidates", type=int, default=64, help="joint actions that it tries at every step")
    parser.add_argument("--rollouts", type=int, default=8, help="times that it plays each out")
    parser.add_argument("--steps", type=int, default=30, help="no battle is followed longer")
    args = parser.parse_args()
    battles = Battles(args.map, args.candidates, args.rollouts, args.steps)
    for name, n, choose in (
        ("the script", args.battles, lambda _, state: battles.script(state)),
        ("the look ahead", args.planned, battles.look_ahead),
    ):
        told = battles.many(jax.random.PRNGKey(0), n, choose)
        print(f"{name}: {told[:, 1].mean():.3f} of {n} battles won, return {told[:, 0].mean():.3f}", flush=True)


if __name__ == "__main__":
    command(main)
