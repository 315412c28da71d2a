"""From rows of replay to what a world model learns from, as free functions: which number belongs to which row.

Letters: B segments, T rows, N agents, W width of availability, V size of an action as networks read it.
"""

from typing import Any

import torch as th
from torch import Tensor

from modules.worlds.actions import encode_actions
from modules.worlds.contract import Segment, one_step_earlier, who_is_absent


def goes_on(terminated: Tensor, segments: Any, cut_off_ends: bool) -> Tensor:
    """Return ``c_{t-1} = 1 - terminated_{t-1}`` (B, T): 1 where the task goes on at the row that transition led to.

    A time limit is no end (the value after it counts) unless `cut_off_ends`. In an episode that has ended, 0.

    Args:
        terminated: (B, T) bool, d_t of the action that follows row t.
        segments: see `components.segments.Segments`.
        cut_off_ends: whether an episode's last row is an end however it came.
    """
    ended = one_step_earlier(terminated, segments["first"]).bool() | segments["ended"]
    if cut_off_ends:
        ended = ended | (segments["last"] & ~segments["first"])
    return (~ended).float()


def segment_of(segments: Any, space: Any, noop: int | None, absorbing: bool, cut_off_ends: bool) -> Segment:
    """Return segments out of replay as a world model reads them.

    What arrives with row t stands at row t: the reward and the end of the transition that led there. An agent that is
    absent at row t, dead or gone, has ``c = 0`` there while the team's reward stays (DMAWM, eq. 7). With `absorbing`
    (DMAWM §4.2) absent agents, and all of them in rows after the end, observe zeros, can do nothing but `noop` (0 where
    there is none), and do that.

    Args:
        segments: see `components.segments.Segments`.
        space: the action space, see `envs.action_spaces`.
        noop: the action of agents that are absent, see `EnvInfo`.
        absorbing: see above.
        cut_off_ends: see `goes_on`.
    """
    first, ended, avail, obs = segments["first"], segments["ended"], segments["avail_actions"], segments["obs"]
    absent = who_is_absent(avail, space.kind != "continuous", noop) | ended.unsqueeze(-1)
    acted = ~(segments["last"] | ended)
    actions = encode_actions(segments["actions"], space, avail.shape[-1]) * acted[..., None, None]
    state = segments["state"]
    if absorbing:
        gone, nothing = absent.unsqueeze(-1), th.zeros_like(avail)
        waiting = th.zeros_like(actions)
        if space.kind == "discrete":
            nothing[..., noop or 0] = True
            waiting = nothing.float()
        obs, avail = obs * ~gone, th.where(gone, nothing, avail)
        actions = th.where(gone, waiting, actions)
        state = state * ~ended.unsqueeze(-1)
    reward = one_step_earlier(segments["reward"], first).expand(absent.shape)
    continues = goes_on(segments["terminated"].squeeze(-1), segments, cut_off_ends).unsqueeze(-1) * ~absent
    return Segment(obs, state, avail, actions, first, acted, reward, continues, absent)
