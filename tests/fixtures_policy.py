"""Small actors and learners of policies for each kind of action space, and random but well-formed episodes for them."""

import numpy as np
import torch as th
from fixtures_mmsa import CONFIG_DIR, GROUPS, OBS, SMALL_POLICY, A, N, S, make_batch, shaken

from components.episode_batch import EpisodeBatch, episode_scheme
from controllers import REGISTRY as CONTROLLERS
from envs.action_spaces import Continuous, Discrete, MultiDiscrete
from learners import REGISTRY as LEARNERS
from settings import extended, resolve, to_args
from utils.logging import Logger

BOX = Continuous(np.full((N, 2), -1.0, dtype=np.float32), np.full((N, 2), 3.0, dtype=np.float32))
CHOICES = MultiDiscrete((3, 2))
SPACES = {"discrete": (Discrete(), A), "continuous": (BOX, 2), "multidiscrete": (CHOICES, 5)}


def scheme_of(kind, n_rewards=1):
    space, width = SPACES[kind]
    return episode_scheme(
        obs_size=OBS, state_size=S, n_actions=width, obs_dtype=th.float32, state_dtype=th.float32,
        action_size=space.size, continuous=kind == "continuous", n_rewards=n_rewards,
    )  # fmt: skip


def args_of(kind, config="mappo", n_rewards=1, **settings):
    """Return the settings of a shipped config with small networks, and the changes given."""
    space, width = SPACES[kind]
    text = {key: str(value) for key, value in (SMALL_POLICY | settings).items()}
    sizes = {"n_agents": N, "n_actions": width, "obs_shape": OBS, "state_shape": S}
    args = to_args(resolve(config, "matrix_game", text, CONFIG_DIR))
    return extended(args, **sizes, action_space=space, n_rewards=n_rewards)


def mac_of(kind, config="mappo", **settings):
    th.manual_seed(0)
    args = args_of(kind, config, **settings)
    mac = CONTROLLERS["policy_mac"](scheme_of(kind), GROUPS, args)
    shaken(mac.agent)
    return mac


def batch_of(kind, episodes=((4, "terminated"), (4, "truncated"), (2, "terminated")), n_rewards=1, seed=0):
    """Random but well-formed episodes of an action space."""
    plain, rng = make_batch(episodes, seed), np.random.default_rng(seed)
    if kind == "discrete" and n_rewards == 1:
        return plain
    space, width = SPACES[kind]
    batch = EpisodeBatch(scheme_of(kind, n_rewards), GROUPS, plain.batch_size, plain.max_seq_length)
    batch.update({name: plain.array(name) for name in ("obs", "state", "terminated", "filled")})
    shape, filled = batch.array("actions").shape, plain.array("filled")[..., None]
    taken = np.zeros((*plain.array("filled").shape, 1), dtype=bool)
    taken[:, :-1, 0] = plain.array("filled")[:, 1:]
    if kind == "continuous":
        available, actions = np.ones((*shape[:3], width), dtype=bool), rng.normal(size=shape)
    elif kind == "multidiscrete":
        available = np.ones((*shape[:3], width), dtype=bool)
        actions = np.stack([rng.integers(size, size=shape[:3]) for size in space.sizes], axis=-1)
    else:
        available, actions = plain.array("avail_actions"), plain.array("actions")
    rewards = rng.normal(size=(*shape[:2], n_rewards)) * taken[..., 0]
    batch.update({"avail_actions": available & filled, "actions": actions * taken, "reward": rewards})
    return batch


def learner_of(kind="discrete", config="mappo", n_rewards=1, **settings):
    """Return a learner with fresh networks, moved away from where they start; its controller is `learner.mac`."""
    th.manual_seed(0)
    args, scheme = args_of(kind, config, n_rewards, **settings), scheme_of(kind, n_rewards)
    mac = CONTROLLERS["policy_mac"](scheme, GROUPS, args)
    learner = LEARNERS[args.learner](mac, scheme, Logger(), args)
    for module in (*learner.trained.values(), *learner.targets.values()):
        shaken(module)
    return learner
