"""Run in a host's `src`, in a process of its own: play and train MMSA there on given episodes from given weights.

`python host_losses.py CASES OUT`: files of `torch.save` with a list of cases, and with what came of each.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[0] = "."  # the host's modules, not those beside this file

import torch as th  # noqa: E402
import yaml  # noqa: E402
from components.episode_buffer import EpisodeBatch  # noqa: E402
from components.transforms import OneHot  # noqa: E402

from controllers import REGISTRY as CONTROLLERS  # noqa: E402
from learners import REGISTRY as LEARNERS  # noqa: E402


class Logger:
    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t):
        self.stats.setdefault(key, []).append(value)


def settings_of(case):
    settings = {}
    for file in ("default.yaml", "algs/mmsa.yaml"):
        settings |= yaml.safe_load((Path("config") / file).read_text())
    hidden = {"rnn_hidden_dim": "hidden_dim"} if "hidden_dim" in settings else {}
    return settings | {hidden.get(key, key): value for key, value in case["settings"].items()}


def filled_batch(episodes, scheme, groups):
    """Return the episodes as the host's runners write them: one step at a time, an action at the last row too."""
    n_agents, n_actions = episodes["avail_actions"].shape[2:]
    preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=n_actions)])}
    batch = EpisodeBatch(scheme, groups, *episodes["filled"].shape[:2], preprocess=preprocess)
    for b, rows in enumerate(episodes["filled"].sum(dim=(1, 2)).tolist()):
        for t in range(rows):
            seen = {name: [episodes[name][b, t].tolist()] for name in ("state", "obs", "avail_actions")}
            batch.update(seen, bs=b, ts=t)
            if t == rows - 1:
                batch.update({"actions": [[[n_actions - 1]] * n_agents]}, bs=b, ts=t)
            else:
                done = {name: [episodes[name][b, t].tolist()] for name in ("actions", "reward", "terminated")}
                batch.update(done, bs=b, ts=t)
    return batch


def greedy_play(mac, batch):
    """Return what the agents would do, (B, T+1, N), asked step by step as runners do; -1 where no episode goes on."""
    rows = batch["filled"].sum(dim=(1, 2))
    chosen = th.full((*batch["filled"].shape[:2], mac.n_agents), -1)
    mac.init_hidden(batch_size=batch.batch_size)
    for t in range(batch.max_seq_length):
        going = (rows > t).nonzero().squeeze(-1).tolist()
        chosen[going, t] = mac.select_actions(batch, t_ep=t, t_env=0, bs=going, test_mode=True)
    return chosen


def result_of(case):
    args, episodes = SimpleNamespace(**settings_of(case)), case["episodes"]
    args.n_agents, args.n_actions = episodes["avail_actions"].shape[2:]
    args.state_shape = episodes["state"].shape[-1]
    scheme = {
        "state": {"vshape": args.state_shape},
        "obs": {"vshape": episodes["obs"].shape[-1], "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": th.long},
        "avail_actions": {"vshape": (args.n_actions,), "group": "agents", "dtype": th.int},
        "reward": {"vshape": (episodes["reward"].shape[-1],)},
        "terminated": {"vshape": (1,), "dtype": th.uint8},
    }
    groups, logger = {"agents": args.n_agents}, Logger()
    try:
        mac = CONTROLLERS[args.mac](scheme, groups, args)
        learner = LEARNERS[args.learner](mac, scheme, logger, args)
    except ValueError as why:
        return {"error": str(why)}
    learner.load_state(case["tensors"], case["numbers"])
    batch = filled_batch(episodes, scheme, groups)
    greedy_play(mac, batch)  # of which nothing may be left in the hidden state
    played = greedy_play(mac, batch)
    th.manual_seed(case["seed"])
    for update in range(case["updates"]):
        learner.train(batch, t_env=update, episode_num=update)
    return {"played": played, "stats": logger.stats, "tensors": learner.state_tensors()}


if __name__ == "__main__":
    th.save([result_of(case) for case in th.load(sys.argv[1], weights_only=True)], sys.argv[2])
