"""Small learners on the shipped settings, and random but well-formed episodes for them.

Letters: B episodes, T+1 rows, N agents, A actions, S state size.
"""

from pathlib import Path

import numpy as np
import torch as th

from components.episode_batch import EpisodeBatch, episode_scheme
from components.episode_rows import EpisodeRows
from controllers import REGISTRY as CONTROLLERS
from envs.action_spaces import Discrete
from envs.entities import laid_out
from learners import REGISTRY as LEARNERS
from settings import extended, resolve, to_args
from utils.logging import Logger

th.set_num_threads(1)  # networks as small as these only wait for each other on more
CONFIG_DIR = Path(__file__).parents[1] / "src" / "config"
N, A, OBS, S = 3, 5, 4, 7
SCHEME = episode_scheme(obs_size=OBS, state_size=S, n_actions=A, obs_dtype=th.float32, state_dtype=th.float32)
GROUPS = {"agents": N}
ENTITIES = laid_out([(None, 1, 2), ("thing", 2, 1)])  # of an observation of OBS numbers
EPISODES = ((6, "terminated"), (4, "truncated"), (1, "terminated"), (6, "truncated"), (2, "truncated"))
SMALL = {"rnn_hidden_dim": 8, "mixing_embed_dim": 6, "hypernet_embed": 10}
SMALL_MMSA = SMALL | {"sale_embed_dim": 9, "latent_dim": 2, "wm_embed_dim": 11, "wm_width": 12}
ONLINE = {"wm_hidden": "online", "rollout_hidden": "online"}
SMALL_POLICY = SMALL | {"critic_hidden_dim": 7}
SMALL_OF = dict.fromkeys(("mappo", "ippo", "maa2c", "ia2c", "coma"), SMALL_POLICY)
SMALL_OF |= {"mmsa": SMALL_MMSA, "mbvd": SMALL_MMSA}


def make_args(config="mmsa", small=True, **settings):
    """Return the settings of a shipped config, with small networks unless told otherwise, and the changes given."""
    sizes = SMALL_OF.get(config.split("_")[0], SMALL) if small else {}
    text = {key: str(value) for key, value in (sizes | settings).items()}
    args = to_args(resolve(config, "matrix_game", text, CONFIG_DIR))
    space = {"action_space": Discrete(), "n_rewards": 1, "entities": ENTITIES}
    return extended(args, n_agents=N, n_actions=A, obs_shape=OBS, state_shape=S, **space)


def make_learner(config="mmsa", seed=0, device="cpu", **settings):
    """Return a learner (its controller is `learner.mac`) with fresh networks."""
    args = make_args(config, **settings)
    th.manual_seed(seed)
    mac = CONTROLLERS[args.mac](SCHEME, GROUPS, args)
    mac.agent.to(device)
    return LEARNERS[args.learner](mac, SCHEME, Logger(), args)


def shaken(module):
    """Move every parameter: some start at zero, and hide from a test what they are multiplied with."""
    with th.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * th.randn_like(parameter)
    return module


def drifted(learner):
    """Move all parameters, the targets' too, so that a target cannot pass for its original."""
    for module in (*learner.trained.values(), *learner.targets.values()):
        shaken(module)
    return learner


def trained_by(learner, losses):
    """Return by each loss's name the networks that its gradient, which must be finite, reaches."""
    reached = {}
    for name, loss in losses.items():
        for kind, module in learner.trained.items():
            gradients = th.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
            given = [gradient for gradient in gradients if gradient is not None]
            assert all(gradient.isfinite().all() for gradient in given)
            if any((gradient != 0).any() for gradient in given):
                reached.setdefault(name, set()).add(kind)
    return reached


def marks(loss, groups):
    """Return {group: x where a loss reaches every tensor of a module, `.` where it does none, - for no module}."""
    parameters = [p for module in groups.values() if module is not None for p in module.parameters()]
    grads = iter(th.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True))
    return {name: "-" if module is None else mark(module, grads) for name, module in groups.items()}


def mark(module, grads):
    """Read off one gradient for each tensor of the module."""
    reached = [grad is not None and bool(grad.any()) for _, grad in zip(module.parameters(), grads, strict=False)]
    return "x" if all(reached) else "partly" if any(reached) else "."


def make_batch(episodes=EPISODES, seed=0):
    """Return episodes as runners write them: `(length, "terminated" or "truncated")` each, zeros in the padding."""
    rng = np.random.default_rng(seed)
    batch = EpisodeBatch(SCHEME, GROUPS, len(episodes), max(length for length, _ in episodes) + 1)
    for b, (length, end) in enumerate(episodes):
        rows, steps = length + 1, slice(0, length)
        avail = rng.random((rows, N, A)) < 0.5
        np.put_along_axis(avail, rng.integers(A, size=(rows, N, 1)), True, axis=-1)
        views = {
            "obs": rng.normal(size=(rows, N, OBS)),
            "state": rng.normal(size=(rows, S)),
            "avail_actions": avail,
            "filled": np.ones((rows, 1), dtype=bool),
        }
        batch.update(views, bs=b, ts=slice(0, rows))
        taken = np.where(avail, rng.random((rows, N, A)), -1.0).argmax(axis=-1)[..., None]
        batch.update({"actions": taken[:length], "reward": rng.normal(size=(length, 1))}, bs=b, ts=steps)
        batch.array("terminated")[b, length - 1] = end == "terminated"
    return batch


def padded(batch, rows=0, episodes=0):
    """Return a copy with that many more empty rows and empty episodes."""
    wider = EpisodeBatch(SCHEME, GROUPS, batch.batch_size + episodes, batch.max_seq_length + rows)
    wider.storage[: batch.batch_size, : batch.max_seq_length] = batch.storage
    return wider


def with_garbage(batch, seed=9):
    """Return a copy with rubbish, of the right kinds, in every row that is not filled and is read by no action."""
    rng = np.random.default_rng(seed)
    copy = padded(batch)
    empty = ~copy.array("filled")[..., 0]
    count = int(empty.sum())
    copy.array("obs")[empty] = 50 * rng.normal(size=(count, N, OBS))
    copy.array("state")[empty] = 50 * rng.normal(size=(count, S))
    copy.array("avail_actions")[empty] = rng.random((count, N, A)) < 0.4
    copy.array("terminated")[empty] = rng.random((count, 1)) < 0.5
    actionless = empty.copy()
    actionless[:, :-1] |= empty[:, 1:]  # an episode's last row is filled, but holds no action and no reward
    actionless[:, -1] = True
    count = int(actionless.sum())
    copy.array("actions")[actionless] = rng.integers(A, size=(count, N, 1))
    copy.array("reward")[actionless] = 50 * rng.normal(size=(count, 1))
    return copy


def losses_of(learner, batch, seed=3):
    """Return the losses as numbers, with the same draws for the same seed."""
    th.manual_seed(seed)
    return {name: loss.item() for name, loss in learner.losses(EpisodeRows(batch))[0].items()}


def per_episode(batch, function):
    """Return what a function makes of the batch's rows, by episode and step: (B, T+1, …)."""
    rows = EpisodeRows(batch, packed=False)
    B, steps = batch.batch_size, batch.max_seq_length
    return function(rows).unflatten(0, (steps, B)).transpose(0, 1)


def onehots(actions, n_actions):
    """Return the concatenated one-hots: (…, n) -> (…, n·A)."""
    return th.nn.functional.one_hot(actions, n_actions).flatten(-2).to(th.get_default_dtype())


def slow_lambda_return(rewards, next_values, terminated, t, gamma, lam):
    """Return the λ-return of step t of one episode by the forward view.

    The n-step returns weighed by (1-λ) λ^{n-1}; the longest one, to the episode's end, takes what is left.
    """
    longest = len(rewards) - t
    weights = [(1 - lam) * lam ** (n - 1) for n in range(1, longest)] + [lam ** (longest - 1)]
    returns = []
    for n in range(1, longest + 1):
        ended = terminated and t + n == len(rewards)
        bootstrap = 0.0 if ended else gamma**n * next_values[t + n - 1]
        returns.append(sum(gamma**k * rewards[t + k] for k in range(n)) + bootstrap)
    return sum(w * g for w, g in zip(weights, returns, strict=True))
