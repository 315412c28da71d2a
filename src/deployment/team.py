"""Agents of several runs in one team, as the controller that a runner asks for actions.

Letters: n episodes at once, N agents (seats), F numbers that a controller remembers of each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch as th
from torch import Tensor

from components.episode_batch import EpisodeBatch, Rows
from controllers.dream_mac import DreamMAC
from utils.errors import UserError


def acts_alone(mac: Any) -> bool:
    """Say whether an agent of a controller acts on its own observations and actions, whoever its partners are."""
    return not isinstance(mac, DreamMAC) or bool(mac.world.decentralised)


def refuse_dependent(path: object, algorithm: str, mac: Any) -> None:
    """Raise `UserError` for agents that act on what all of them see, which no stranger would tell them."""
    if not acts_alone(mac):
        raise UserError(
            f"{path}: agents of {algorithm} attend to everybody's observations, through one network, so that none of "
            "them plays with strangers"
        )


class Team:
    """The greedy joint action of N agents, each from a controller of its own run.

    Every controller follows the whole team, and its actions count at its own seats. What agents that act alone (see
    `acts_alone`) remember hangs on their own seat only, so what it makes of the others' is never used.
    """

    def __init__(self, seats: Sequence[Any]) -> None:
        """Take the controller that plays at each of N seats; one may have several."""
        self.macs = list(dict.fromkeys(seats))
        self.seats = [[seat for seat, mac in enumerate(seats) if mac is each] for each in self.macs]

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return what all controllers remember before the first step, side by side: (n, N, ΣF)."""
        each = [mac.init_hidden(batch_size) for mac in self.macs]
        self._sizes = [hidden.shape[-1] for hidden in each]
        return th.cat(each, dim=-1)

    def draws(self, generators: Sequence[np.random.Generator], steps: int, epsilon: float) -> None:
        """Draw nothing: a team acts greedily."""

    def select_actions(
        self, batch: EpisodeBatch, t_ep: int, hidden: Tensor, epsilon: float, draws: None, bs: Rows = slice(None)
    ) -> tuple[np.ndarray, Tensor]:
        """Choose as `BasicMAC.select_actions` does, each seat by its controller; `epsilon` and `draws` are not read."""
        each = [
            mac.select_actions(batch, t_ep, mine.contiguous(), 0.0, None, bs)
            for mac, mine in zip(self.macs, hidden.split(self._sizes, dim=-1), strict=True)
        ]
        joint = each[0][0].copy()
        for seats, (actions, _) in zip(self.seats, each, strict=True):
            joint[:, seats] = actions[:, seats]
        return joint, th.cat([now for _, now in each], dim=-1)
