"""Episodes and what is done with them: batches, replay, schedules, action selectors.

`EXPERIENCES` are the ways to keep episodes for learning, by the name that a learner asks for. Each takes episodes in by
`insert_episode_batch`, gives them out in its own way, and is saved and taken up again by `oldest`, `inserted`, `since`,
`rng_state` and `restore`.
"""

from components.fresh_episodes import FreshEpisodes
from components.replay_buffer import ReplayBuffer
from components.segments import SegmentReplay

EXPERIENCES = {"replay": ReplayBuffer, "fresh": FreshEpisodes, "segments": SegmentReplay}
