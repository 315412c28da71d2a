"""What MMSA logs besides losses: is the world model any good, are embeddings alive, is the rollout used?

Letters: R rows of a packed batch, N agents, A actions, H hidden size, D latent size of the team, J rollout horizon.
"""

from typing import Any, NamedTuple

import torch as th
from torch import Tensor

from components.episode_rows import Batch, EpisodeRows
from learners.diagnostics import (
    Errors,
    active_units,
    effective_rank,
    gaussian_like,
    kept_from,
    moved_share,
    open_loop,
    prediction_errors,
    spread,
)
from learners.targets import greedy_actions, pick


class Foresight(NamedTuple):
    """What the world model foresees along real trajectories, under the actions taken, for j = 1, 2, … steps.

    `latent` and `hidden`: the errors at each j. `actions` (R_j, N): greedy in the imagined hidden states, among the
    actions available where imagination began. `latents` (R_j, D), `hiddens` (R_j, N, H): what was imagined.
    """

    latent: list[Errors]
    hidden: list[Errors]
    actions: list[Tensor]
    latents: list[Tensor]
    hiddens: list[Tensor]


class Encoded(NamedTuple):
    """A batch through the networks: histories of the online agents and those that rollouts start from, (R, N, H)."""

    h: Tensor
    model_h: Tensor
    q: Tensor
    model_q: Tensor


@th.no_grad()
def diagnose(learner: Any, batch: Batch) -> dict[str, Tensor]:
    """Return the figures by name; docs/figures.md says what each means. Draws nothing, changes nothing."""
    rows = EpisodeRows(batch, packed=True)
    encoded = encode(learner, rows)
    figures = embedding_figures("z_o", "z_oa", agent_embeddings(learner, rows, encoded.h))
    if learner.world_model is None:
        return figures
    s = learner.world_model.posterior(encoded.model_h).mean
    sale = learner.world_model.sale
    embedded = None if sale is None else sale(rows.now(s), rows.now(rows["actions"].squeeze(-1)))
    figures.update(embedding_figures("z_s", "z_sa", embedded))
    figures["wm_active_units"] = active_units(s)
    foresight = foresee(learner, rows, encoded, s, learner.args.rollout_horizon)
    return {**figures, **foresight_figures(rows, foresight, encoded), **rollout_use(learner, rows, encoded, s)}


def encode(learner: Any, rows: EpisodeRows) -> Encoded:
    """Unroll both copies of the agents and score all actions."""
    inputs, obs = learner.mac.build_inputs(rows), rows["obs"]
    h, target_h = (agent.encode(inputs, rows.sizes) for agent in (learner.agent, learner.target_agent))
    q, target_q = learner.agent.q_from_hidden(h, obs), learner.target_agent.q_from_hidden(target_h, obs)
    follows_target = learner.dreamer is learner.target_agent
    return Encoded(h, target_h if follows_target else h, q, target_q if follows_target else q)


def agent_embeddings(learner: Any, rows: EpisodeRows, h: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the agents' ``z^o`` and ``z^oa`` of the actions taken, or None for agents without SALE."""
    if learner.args.agent != "sale_rnn":
        return None
    return learner.agent.sale(rows.now(learner.agent.sale_input(h, rows["obs"])), rows.now(rows["actions"]))


def embedding_figures(z_name: str, za_name: str, embedded: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
    """Return spread and effective rank of two embeddings (…, E); the collapse alarm."""
    if embedded is None:
        return {}
    flat = {name: z.flatten(0, -2) for name, z in zip((z_name, za_name), embedded, strict=True)}
    return {
        **{f"spread_{name}": spread(z) for name, z in flat.items()},
        **{f"rank_{name}": effective_rank(z) for name, z in flat.items()},
    }


def foresee(learner: Any, rows: EpisodeRows, encoded: Encoded, s: Tensor, horizon: int) -> Foresight:
    """Imagine up to `horizon` steps from every row under the actions taken, and compare with what came."""
    model, avail = learner.world_model, rows["avail_actions"]
    imagined = open_loop(model, rows, s, rows["actions"].squeeze(-1), horizon)
    latents = [state.s for state in imagined]
    hiddens = [model.decode_hidden(state.told) for state in imagined]
    at_start = kept_from(rows, avail, len(latents))
    return Foresight(
        latent=prediction_errors(rows, latents, s),
        hidden=prediction_errors(rows, hiddens, encoded.model_h),
        actions=[
            learner.imagined_actions(h, was) for h, was in zip(hiddens, at_start, strict=True)
        ],
        latents=latents,
        hiddens=hiddens,
    )


def foresight_figures(rows: EpisodeRows, foresight: Foresight, encoded: Encoded) -> dict[str, Tensor]:
    """Return the errors by name and horizon, and how often agents did what was imagined."""
    taken, figures = rows["actions"].squeeze(-1), {}
    greedy = greedy_actions(encoded.model_q, rows["avail_actions"])
    figures["greedy_action_match"] = _share_of_equals(rows.now(greedy), rows.now(taken))
    for j, imagined in enumerate(foresight.actions, start=1):
        for what, errors in (("latent", foresight.latent[j - 1]), ("hidden", foresight.hidden[j - 1])):
            for predictor, error in errors._asdict().items():
                figures[f"wm_{what}_error_{predictor}_{j}"] = error.mean()
        taken = rows.then(taken, after=j - 1)
        if j < len(rows.sizes) - 1:  # an episode's last row holds no action
            acts = rows.now(imagined, after=j), rows.now(taken, after=j)
            figures[f"imagined_action_match_{j}"] = _share_of_equals(*acts)
    return figures


def _share_of_equals(one: Tensor, other: Tensor) -> Tensor:
    return (one == other).float().mean()


def rollout_use(learner: Any, rows: EpisodeRows, encoded: Encoded, s: Tensor) -> dict[str, Tensor]:
    """Return how far Q_tot moves, in its standard deviations, when the mixer sees another rollout than the real one.

    `zeros`; `noise`, Gaussian with each component's mean and spread; `other`, the rollout of another row of the batch.
    """
    rollout = rows.now(learner.imagine(rows, s, encoded.model_q, draw=False))
    q_taken, states = rows.now(pick(encoded.q, rows["actions"].squeeze(-1))), rows.now(rows["state"])
    others = {
        "zeros": th.zeros_like(rollout),
        "noise": gaussian_like(rollout),
        "other": rollout.roll(len(rollout) // 2, dims=0),
    }
    q_tot = learner.mixer(q_taken, states, rollout)
    return {f"rollout_use_{name}": moved_share(q_tot, learner.mixer(q_taken, states, x)) for name, x in others.items()}
