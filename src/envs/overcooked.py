"""Overcooked: two cooks, onions, pots and plates, on `jaxmarl` 0.2.0, seen as a picture of the kitchen's grid.

This file knows the layouts and imports no JAX; `envs.overcooked_kitchens` plays.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.batch import BatchedEnv
from utils.errors import UserError, nearest

if TYPE_CHECKING:
    from envs.overcooked_kitchens import Kitchens

LAYOUTS = ("cramped_room", "asymm_advantages", "coord_ring", "forced_coord", "counter_circuit")
PACKAGE = "jaxmarl"
CELL = 48  # pixels
COLOURS = {  # layer -> colour; later ones are drawn over earlier ones
    11: (201, 178, 148), 10: (70, 70, 70), 12: (226, 176, 42), 14: (235, 235, 235), 15: (120, 170, 110),
    22: (250, 250, 250), 23: (240, 200, 60), 21: (200, 90, 40), 1: (200, 110, 40), 0: (40, 110, 180),
}  # fmt: skip


class OvercookedEnv(BatchedEnv):
    """Two cooks bring onions to a pot, wait, and deliver the soup on a plate.

    The team reward is 20 for a soup, plus `shaping` times the package's shaped rewards of both cooks (an onion in a
    pot, a plate taken, a soup taken). An episode is cut off after `max_steps` and never terminates. Info: `soups`
    delivered so far. An observation is the package's picture, (rows, columns, 26) uint8 laid flat, in which a cook
    comes first; the state is the first cook's.
    """

    def __init__(self, layout: str, random_start: bool, shaping: float, max_steps: int) -> None:
        super().__init__(layout=layout, random_start=random_start, shaping=shaping, max_steps=max_steps)

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return `overcooked-` and the layout; raise `UserError` for an unknown one."""
        layout = env_args["layout"]
        if layout not in LAYOUTS:
            raise UserError(f"unknown kitchen {layout!r}: did you mean {nearest(layout, LAYOUTS)}?")
        if find_spec(PACKAGE) is None:
            raise ModuleNotFoundError(name=PACKAGE)  # the registry tells how to install it
        return f"overcooked-{layout}"

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the rules."""
        return (PACKAGE, "jax")

    @classmethod
    def make_batch(cls, env_args: Mapping[str, Any], n: int) -> "Kitchens":
        """Return n kitchens that are stepped in common calls of JAX."""
        cls.task_name(env_args)
        from envs.overcooked_kitchens import Kitchens, kitchen  # brings JAX, seconds to import

        rules = kitchen(env_args["layout"], env_args["random_start"], env_args["max_steps"])
        return Kitchens(rules, n, env_args["shaping"])

    def action_names(self) -> Sequence[str]:
        """Return up, down, right, left, stay, interact."""
        from envs.overcooked_kitchens import ACTIONS

        return ACTIONS

    def render(self) -> np.ndarray:
        """Draw the kitchen as the first cook sees it."""
        return self.render_observation(self.view.obs.astype(np.float32))

    def render_observation(self, obs: np.ndarray) -> np.ndarray:
        """Draw what the first cook sees, a cell's colours as strong as what is seen there."""
        (image,) = self.info.obs_images
        seen = np.nan_to_num(obs[0]).reshape(image.height, image.width, image.channels)
        picture = np.full((*seen.shape[:2], 3), 250.0)
        for layer, colour in COLOURS.items():
            strength = seen[..., layer, None].clip(0, 1)
            picture = (1 - strength) * picture + strength * np.array(colour)
        return picture.astype(np.uint8).repeat(CELL, axis=0).repeat(CELL, axis=1)
