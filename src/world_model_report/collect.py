"""Fresh episodes: neither those of training nor those of any evaluation."""

import torch as th

from components.episode_batch import EpisodeBatch
from runners.base_runner import EpisodeResult
from training.assembly import Run
from training.seeding import Stream, episode_streams


def fresh_episodes(run: Run, count: int, epsilon: float, seed: int) -> tuple[EpisodeBatch, list[EpisodeResult]]:
    """Play episodes one after the other, ε-greedily, on streams of their own.

    They are known by `seed`, the checkpoint's steps and their number: episode 3 of 10 is episode 3 of 1000.
    """
    played, results = [], []
    for number in range(count):
        stream = episode_streams(seed, Stream.INSPECTED_EPISODE, run.t_env, number)
        batch, (result,) = run.runner.run(run.mac, [stream], epsilon)
        played.append(batch)
        results.append(result)
    storage = th.cat([batch.storage for batch in played])
    batch = EpisodeBatch(run.runner.scheme, run.runner.groups, count, run.runner.max_seq_length, storage)
    return batch[:, : batch.max_t_filled()], results
