"""What agents read at every row of a batch.

Letters: R rows, N agents, I input size, P numbers of an action, W the width of `avail_actions`.
"""

from typing import Any

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows


def agent_inputs(
    rows: EpisodeRows, n_actions: int, last_action: bool, agent_id: bool, action_space: Any = None
) -> Tensor:
    """Return ``[o_t, a_{t-1}, i]`` (R, N, I) of every row; the last two where asked for, as one-hots.

    An episode's first row has no last action: zeros. `n_actions` is W; an `action_space` that is not discrete has to be
    given, see `shown`.
    """
    obs = rows["obs"]
    R, N, _ = obs.shape
    parts = [obs]
    if last_action:
        last = obs.new_zeros(R, N, n_actions)
        taken = rows.now(rows["actions"])
        if action_space is None or action_space.kind == "discrete":
            rows.then(last).scatter_(-1, taken, rows.pair_mask[:, None, None].expand(taken.shape))
        else:
            rows.then(last).copy_(shown(taken, n_actions, action_space) * rows.pair_mask[:, None, None])
        parts.append(last)
    if agent_id:
        parts.append(th.eye(N, device=obs.device).expand(R, N, N))
    return th.cat(parts, dim=-1)


def shown(actions: Tensor, n_actions: int, action_space: Any) -> Tensor:
    """Return actions ``(…, P)`` as networks read them, (…, W): choices as one-hots, numbers as they are."""
    if action_space.kind == "continuous":
        return actions
    sizes = getattr(action_space, "sizes", (n_actions,))
    offsets = th.tensor([0, *sizes[:-1]], device=actions.device).cumsum(0)
    onehots = th.zeros(*actions.shape[:-1], n_actions, device=actions.device)
    return onehots.scatter_(-1, actions + offsets, 1.0)
