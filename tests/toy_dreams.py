"""A toy world whose numbers name their step, its episodes in replay, and small world models for it.

Two agents count: row t shows an agent its step as a one-hot, and its own last action; transition t brings
``t/10 + a_t`` and ends the episode at step 20. Nothing is random; what comes to an agent
depends on its own actions alone.
"""

import numpy as np
import torch as th

from components.episode_batch import EpisodeBatch, episode_scheme
from components.segments import SegmentReplay, Segments
from envs.action_spaces import Discrete
from learners.model_losses import segment_of
from modules.worlds import REGISTRY
from modules.worlds.contract import each
from modules.worlds.settings import WorldSettings

N, A, END = 2, 2, 20
OBS, S = END + 2, 2
GROUPS = {"agents": N}
SCHEME = episode_scheme(
    obs_size=OBS, state_size=S, n_actions=A, obs_dtype=th.float32, state_dtype=th.float32, n_rewards=N
)


def settings(**changed):
    """The settings of a tiny model of the toy world."""
    given = dict(
        n_agents=N, obs_size=OBS, state_size=S, n_avail=A, action_size=A, discrete=True, noop=None, images=(),
        agent_id=True, hidden=16, groups=4, classes=4, width=32, layers=1, decoder_width=32, decoder_layers=1,
        attention_layers=1, attention_heads=2, attention_hidden=32, unimix=0.01, kl_prior=0.8, kl_posterior=0.2,
        kl_over="sum", free_nats=0.0, decoder_weight=1.0, obs_loss="squared", reward_head="squared", bins=21,
        bins_range=3.0, own_action="last", absent="as_seen", imagined_avail="all", critic_reads="features",
        interaction=True, single_global=False, global_reads="agent", prior_reads="posterior",
    )  # fmt: skip
    return WorldSettings(**given | changed)


def world(name, **changed):
    th.manual_seed(0)
    return REGISTRY[name](settings(**changed))


def seen(step, last):
    """What both agents see at a step after actions `last` (N,), and the state."""
    obs = np.zeros((N, OBS), dtype=np.float32)
    obs[:, step], obs[:, -1] = 1, last
    return obs, np.array([step / 10, last.sum()], dtype=np.float32)


def episode(actions, cut_off=False):
    """An episode of given actions (L, N): one that terminates at its last step, or is cut off there."""
    L = len(actions)
    batch = EpisodeBatch(SCHEME, GROUPS, 1, END + 1)
    last = np.zeros(N)
    for t in range(L + 1):
        obs, state = seen(t, last)
        batch.update({"obs": obs, "state": state, "avail_actions": True, "filled": True}, 0, t)
        if t < L:
            ends = t == L - 1 and not cut_off
            last = actions[t]
            batch.update({"actions": last[:, None], "reward": t / 10 + last, "terminated": ends}, 0, t)
    return batch


def replay(lengths=(END,) * 6, cut_off=False, seed=0, capacity=1000):
    """Replay with episodes of these lengths and random actions."""
    rng = np.random.default_rng(seed)
    found = SegmentReplay(SCHEME, GROUPS, capacity, END + 1, seed)
    for length in lengths:
        found.insert_episode_batch(episode(rng.integers(A, size=(length, N)), cut_off))
    return found


def segment(segments, absorbing=False, cut_off_ends=False, noop=None):
    return segment_of(segments, Discrete(), noop, absorbing, cut_off_ends)


def whole_episodes(n, rng):
    """Segments of n whole episodes with random actions, from their first rows on."""
    batches = [episode(rng.integers(A, size=(END, N))) for _ in range(n)]
    rows = EpisodeBatch(SCHEME, GROUPS, n, END + 1, th.cat([batch.storage for batch in batches]))
    first, last = (th.arange(END + 1).expand(n, -1) == t for t in (0, END))
    return segment(Segments(rows, first, last, th.zeros_like(first)))


def trained_world(name, steps=1000, seed=0, **changed):
    """A model of the toy world that has learnt it by heart."""
    given = dict(unimix=0.0, hidden=64, groups=1, classes=4, decoder_weight=10.0)
    model, rng = world(name, **given | changed), np.random.default_rng(seed)
    optimiser = th.optim.Adam(model.parameters(), lr=1e-2)
    schedule = th.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(steps):
        given = whole_episodes(8, rng)
        losses = model.losses(given, model.observe(given))
        optimiser.zero_grad()
        sum(losses.values()).backward()
        th.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimiser.step()
        schedule.step()
    return model


@th.no_grad()
def errors_ahead(model, rng, context=6):
    """The largest errors of observation, reward and continuation, row by row after a context, without looking."""
    given = whole_episodes(1, rng)
    seen = model.observe(type(given)(*(x[:, :context] for x in given)))
    state, errors = each(lambda x: x[:, -1], seen.states), []
    for t in range(context, END + 1):
        after = model.imagine_step(state, given.actions[:, t - 1], None)
        said = model.decode(state, after)
        pairs = (
            (model.obs_of(after), given.obs[:, t]),
            (model.rewards.mean(said.reward), given.reward[:, t]),
            (said.goes_on.sigmoid(), given.goes_on[:, t]),
        )
        errors.append([(guess - real).abs().max().item() for guess, real in pairs])
        state = after
    return np.array(errors)
