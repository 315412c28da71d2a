"""What is logged of a world model and of behaviour in it, when it is time to log. docs/dreams.md explains each figure.

Letters: B segments, T rows, N agents, L imagined steps.
"""

from typing import Any

import torch as th
from torch import Tensor

from learners.behaviour import survival
from modules.worlds.contract import Scalars, Segment, each


def returns_ahead(segment: Segment, steps: int) -> tuple[Tensor, Tensor]:
    """Return the reward that the next steps really brought, (B, T, N), and where a segment is long enough to know.

    What comes after an episode's end is not counted; where a segment ends before the steps do, it is not known, (B, T).
    """
    B, T, N = segment.reward.shape
    total, going = segment.reward.new_zeros(B, T, N), th.ones(B, T, 1, device=segment.first.device)
    known = th.zeros(B, T, dtype=th.bool, device=segment.first.device)
    pad = th.nn.functional.pad
    rewards = pad(segment.reward, (0, 0, 0, steps))
    beyond = pad(segment.first, (0, steps), value=True)
    outside = th.arange(T + steps, device=segment.first.device) >= T
    ends = pad(~segment.goes_on.any(dim=-1), (0, steps), value=True) | beyond
    for k in range(1, steps + 1):
        there = slice(k, k + T)
        alive = going.squeeze(-1) > 0
        known |= alive & ~outside[there] & ends[:, there]  # its end is seen
        arrived = alive & ~beyond[:, there]
        total += rewards[:, there] * arrived.unsqueeze(-1)
        going *= (arrived & ~ends[:, there]).float().unsqueeze(-1)
    return total, known | (going.squeeze(-1) > 0)


@th.no_grad()
def diagnose(learner: Any, segment: Segment) -> Scalars:
    """Return figures of a `DreamLearner` on segments that it learnt from, by the names they are logged under."""
    world = learner.world
    observed = world.observe(segment)
    said = world.decode(observed.before, observed.states, world.seen_by_others(segment.absent))
    arrived = (~segment.first).unsqueeze(-1).expand_as(segment.reward)
    reward, goes_on = world.rewards.mean(said.reward), said.goes_on.sigmoid()
    rewarded, ended = arrived & (segment.reward != 0), arrived & (segment.goes_on == 0)
    limit = getattr(world.rewards, "limit", None)
    figures = {
        "reconstruction_error": (world.obs_of(observed.states) - segment.obs).square().mean(),
        "reward_where_some": mean_where(reward, rewarded),
        "reward_where_some_real": mean_where(segment.reward, rewarded),
        "reward_where_none": mean_where(reward, arrived & ~rewarded),
        "goes_on_where_ended": mean_where(goes_on, ended),
        "goes_on_elsewhere": mean_where(goes_on, arrived & ~ended),
        "reward_clipped": th.zeros(()) if limit is None else (segment.reward.abs() > limit).float().mean(),
    }
    return figures | world.figures(observed) | compare_returns(learner, segment, observed.states)


def compare_returns(learner: Any, segment: Segment, states: object) -> Scalars:
    """Return what the next steps bring as imagined and as they really were, from the same rows."""
    real, known = returns_ahead(segment, learner.args.horizon)
    rows = (known & segment.goes_on.any(dim=-1)).flatten().nonzero().squeeze(-1)
    rows = rows[: learner.args.starts]
    if len(rows) == 0:
        return {}
    start = each(lambda x: x.flatten(0, 1)[rows], states)
    avail, absent = (x.flatten(0, 1)[rows] for x in (segment.avail, segment.absent))
    dream = learner.behaviour.imagine(learner.world, learner.encode, start, avail, absent)
    return {
        "dream_return": (survival(dream.goes_on) * dream.reward).sum(dim=1).mean(),
        "real_return": real.flatten(0, 1)[rows].mean(),
    }


def mean_where(x: Tensor, where: Tensor) -> Tensor:
    """Return the mean of what a mask selects; 0 where it selects nothing."""
    return (x * where).sum() / where.sum().clamp(min=1)
