"""What agents read at every row of a batch."""

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows


def agent_inputs(rows: EpisodeRows, n_actions: int, last_action: bool, agent_id: bool) -> Tensor:
    """Return ``[o_t, a_{t-1}, i]`` (R, N, I) of every row; the last two where asked for, as one-hots.

    An episode's first row has no last action: zeros.
    """
    obs = rows["obs"]
    R, N, _ = obs.shape
    parts = [obs]
    if last_action:
        last = obs.new_zeros(R, N, n_actions)
        taken = rows.now(rows["actions"])
        rows.then(last).scatter_(-1, taken, rows.pair_mask[:, None, None].expand(taken.shape))
        parts.append(last)
    if agent_id:
        parts.append(th.eye(N, device=obs.device).expand(R, N, N))
    return th.cat(parts, dim=-1)
