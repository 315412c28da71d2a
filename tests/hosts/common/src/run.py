"""A loop that plays a game of chance, keeps the episodes and calls controller and learner as the hosts do."""

import numpy as np
import torch as th
from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot

from controllers import REGISTRY as CONTROLLERS
from learners import REGISTRY as LEARNERS

N, A, OBS, LIMIT = 3, 4, 5, 6


class Logger:
    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t):
        self.stats.setdefault(key, []).append(value)


def run(args):
    args.n_agents, args.n_actions, args.state_shape = N, A, N * OBS
    n_rewards = 1 if getattr(args, "common_reward", True) else N
    scheme = {
        "state": {"vshape": N * OBS},
        "obs": {"vshape": OBS, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": th.long},
        "avail_actions": {"vshape": (A,), "group": "agents", "dtype": th.int},
        "reward": {"vshape": (n_rewards,)},
        "terminated": {"vshape": (1,), "dtype": th.uint8},
    }
    groups, preprocess = {"agents": N}, {"actions": ("actions_onehot", [OneHot(out_dim=A)])}
    th.manual_seed(args.seed)
    rng, logger = np.random.default_rng(args.seed), Logger()
    mac = CONTROLLERS[args.mac](scheme, groups, args)
    learner = LEARNERS[args.learner](mac, scheme, logger, args)
    if args.checkpoint_path:
        learner.load_models(args.checkpoint_path)
    t_env, episode = 0, 0
    while t_env <= args.t_max:
        batch = EpisodeBatch(scheme, groups, args.batch_size_run, LIMIT + 1, preprocess=preprocess)
        t_env += play(batch, mac, t_env, n_rewards, rng)
        learner.train(batch[:, : batch.max_t_filled()], t_env, episode)
        episode += args.batch_size_run
    logger.log_stat("epsilon", mac.action_selector.epsilon, t_env)
    if args.save_model:
        learner.save_models(args.local_results_path)
    return logger.stats


def play(batch, mac, t_env, n_rewards, rng):
    """Fill a batch with episodes of random length, and return their steps; half of the full ones end by time limit."""
    lengths = rng.integers(1, LIMIT + 1, size=batch.batch_size)
    mac.init_hidden(batch_size=batch.batch_size)
    for t in range(lengths.max() + 1):
        going = [b for b in range(batch.batch_size) if lengths[b] >= t]
        obs, avail = rng.normal(size=(len(going), N, OBS)), rng.random((len(going), N, A)) < 0.5
        avail[..., 0] = True
        batch.update({"obs": obs, "state": obs.reshape(len(going), -1), "avail_actions": avail}, bs=going, ts=t)
        actions = mac.select_actions(batch, t_ep=t, t_env=t_env, bs=going, test_mode=False)
        assert actions.shape == (len(going), N)
        assert th.as_tensor(avail).gather(-1, actions.unsqueeze(-1)).all(), "an action that is not available"
        batch.update({"actions": actions}, bs=going, ts=t)
        rewards = rng.normal(size=(len(going), n_rewards))
        ended = np.array([lengths[b] == t + 1 and (t + 1 < LIMIT or b % 2 == 0) for b in going])
        batch.update({"reward": rewards, "terminated": ended}, bs=going, ts=t)
    return int(lengths.sum())
