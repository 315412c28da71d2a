"""Bytes that a stored episode takes, beside PyMARL2's layout for the same quantities.

    python benchmarks/memory.py --shape 3s5z

PyMARL2's layout, as its scheme declares it: every quantity for every step up to the limit, numbers as float32, actions
and `filled` as int64, available actions as int32, `terminated` as a byte, and one-hot actions stored as float32.
"""

import argparse

import numpy as np
from answers import command
from common import SHAPES, Shape, make_batch, scheme_of

from components.replay_buffer import ReplayBuffer


def pymarl2_bytes(shape: Shape) -> int:
    """Return the bytes of one episode in PyMARL2's layout."""
    per_agent = 4 * shape.obs_size + 4 * shape.A + 8 + 4 * shape.A  # obs, avail_actions, actions, actions_onehot
    per_step = 4 * shape.state_size + shape.N * per_agent + 4 + 1 + 8  # state, agents, reward, terminated, filled
    return per_step * (shape.T + 1)


def main() -> None:
    """Fill a replay buffer and print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="3s5z")
    parser.add_argument("--episodes", type=int, default=5000)
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    rng = np.random.default_rng(0)
    lengths = rng.integers(shape.T // 6, shape.T // 2, size=args.episodes, endpoint=True)  # a third on average
    replay = ReplayBuffer(scheme_of(shape), {"agents": shape.N}, args.episodes, shape.T + 1, seed=0)
    for first in range(0, args.episodes, 50):
        replay.insert_episode_batch(make_batch(shape, len(lengths[first : first + 50]), lengths[first : first + 50]))
    ours, theirs = replay.n_bytes / args.episodes, pymarl2_bytes(shape)
    print(f"{args.shape}, {args.episodes} episodes of {lengths.mean():.1f} steps on average, of {shape.T} at most")
    print(f"ours: {ours / 1e3:.1f} kB per episode, {replay.n_bytes / 1e6:.0f} MB in all")
    print(f"PyMARL2's layout: {theirs / 1e3:.1f} kB per episode, {theirs * args.episodes / 1e6:.0f} MB in all")
    print(f"ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    command(main)
