"""One episode beside what a recurrent world model imagines of it, for films.

Letters: T rows of an episode, N agents, I size of an observation.
"""

from typing import Any, NamedTuple

import torch as th
from torch import Tensor

from components.episode_batch import EpisodeBatch
from modules.worlds.contract import Segment
from world_model_report.dream_lookahead import foresee, segment_of_episodes


class ImaginedEpisode(NamedTuple):
    """An episode, and what a model that saw its first `context` rows says of each: (T, N, …).

    Of those rows it is what the model decodes after it has looked, of the others what it imagines.
    """

    real: Segment
    context: int
    obs: Tensor  # (T, N, I)
    reward: Tensor  # (T, N), as it arrived with the row; of the first, nothing
    goes_on: Tensor  # (T, N) probabilities


@th.no_grad()
def imagined_episode(learner: Any, batch: EpisodeBatch, context: int, seed: int) -> ImaginedEpisode:
    """Let a `DreamLearner`'s model look at the first rows of the one episode of `batch`, and imagine the others.

    It is told the actions really taken. What it draws depends on `seed` alone.
    """
    world = learner.world
    segment, filled = segment_of_episodes(learner, batch[:, : batch.max_t_filled()])
    lengths = filled.sum(dim=1)
    rows = min(context, int(lengths))
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        observed = world.observe(segment)
        begin = lengths.new_tensor([0]), lengths.new_tensor([rows - 1])
        ahead = list(foresee(world, segment, lengths, observed.states, begin, int(lengths)))
    said = world.decode(observed.before, observed.states, world.seen_by_others(segment.absent))
    seen = {
        "obs": world.obs_of(observed.states),
        "reward": world.rewards.mean(said.reward),
        "goes_on": said.goes_on.sigmoid(),
    }
    told = {name: th.cat([x[0, :rows], *(getattr(step, name) for step in ahead)]) for name, x in seen.items()}
    return ImaginedEpisode(Segment(*(x[0] for x in segment)), rows, **told)
