"""How many CPU cores learning takes: as many as asked for, or (`threads=auto`) as a short measurement finds fastest."""

import time
from copy import deepcopy
from typing import Any

import torch as th

from components import EXPERIENCES
from learners.side_by_side import SideBySide, can_divide
from settings import to_args
from training.seeding import Stream, episode_streams
from utils.cores import cores_here

AUTO = "auto"
TAKES = 3  # timed updates for each number of threads; the least time counts
GAIN = 0.95  # share of one thread's time that more have to stay below


def settle_threads(run: Any) -> None:
    """Choose a run's `threads` where they are to choose themselves, and let processes share updates that can be.

    A number that was chosen replaces `auto` in the run's settings: the archive has it, and a resume takes it as given.
    """
    args, learner = run.args, run.learner
    if args.threads == AUTO:
        threads, said = (1, "threads=auto: 1") if args.evaluate else fastest_threads(run)
        run.args = args = to_args(vars(args) | {"threads": threads})
        run.notes.append(said)
        th.set_num_threads(threads)
    if can_divide(learner, args.threads):
        learner.backward = run.side_by_side = SideBySide(learner, args.threads, args.update_timeout)
    elif args.threads > 1 and learner.device.type == "cpu":
        run.notes.append(
            f"threads={args.threads}: updates of {args.name} are not shared by processes, Torch's own threads take them"
        )


def fastest_threads(run: Any) -> tuple[int, str]:
    """Return the number of threads whose updates take the least time here, and a line with the times.

    One round of episodes is played, on streams of its own; updates are a copy's. So the run is as without.
    """
    if run.learner.device.type != "cpu":
        return 1, "threads=auto: 1, for updates are on the GPU"
    cores = cores_here()
    counts = sorted({1, *(2**k for k in range(1, 11) if 2**k <= cores), cores})
    if len(counts) == 1:
        return 1, "threads=auto: 1, for there is one core"
    state = th.get_rng_state()
    trial = Trial(run)
    seconds = {count: trial.seconds(count) for count in counts}
    seconds[1] = min(seconds[1], trial.seconds(1))  # again: what else the machine does changes
    th.set_rng_state(state)
    best = min(seconds, key=seconds.__getitem__)
    chosen = best if seconds[best] < GAIN * seconds[1] else 1
    times = ", ".join(f"{1000 * taken:.0f} ms with {count}" for count, taken in seconds.items())
    return chosen, f"threads=auto: {chosen}; an update takes {times}"


class Trial:
    """Updates of a copy of a run's learner, on a round of episodes as often as it takes to fill a batch."""

    def __init__(self, run: Any) -> None:
        args, runner = run.args, run.runner
        numbers = range(args.batch_size_run)
        streams = [episode_streams(args.seed, Stream.THREADS_TRIAL, number) for number in numbers]
        self.episodes, _ = runner.run(run.mac, streams, run.mac.epsilon(0, test_mode=False))
        self.learner, self.args = deepcopy(run.learner), args
        self.experience = EXPERIENCES[run.learner.EXPERIENCE](
            runner.scheme, runner.groups, args.buffer_size, runner.max_seq_length, 0
        )

    def seconds(self, threads: int) -> float:
        """Return the least time of an update with so many threads."""
        learner, before = self.learner, th.get_num_threads()
        th.set_num_threads(threads)
        shared = SideBySide(learner, threads, self.args.update_timeout) if can_divide(learner, threads) else None
        if shared is not None:
            learner.backward = shared
        try:
            return min([self._take() for _ in range(1 + TAKES)][1:])  # the first starts processes
        finally:
            if shared is not None:
                shared.close()
                del learner.backward
            th.set_num_threads(before)

    def _take(self) -> float:
        if self.experience.inserted - self.experience.oldest < self.args.batch_size:
            rounds = -(-self.args.batch_size // self.args.batch_size_run)
            steps = int(self.episodes["filled"].sum()) - self.args.batch_size_run
            for _ in range(max(rounds, -(-self.args.batch_steps // steps))):
                self.experience.insert_episode_batch(self.episodes)
        start = time.perf_counter()
        self.learner.trial_update(self.experience)
        return time.perf_counter() - start
