"""The mixer of MMSA (§4.4, Fig. 3): QMIX that also sees the aggregated imagined future ``ŝ^Rollout``.

Letters: N agents, S state size, D latent size of the team, J rollout horizon, F size of the aggregated future.
"""

from types import SimpleNamespace

import torch as th
from torch import Tensor, nn

from modules.gru import unroll
from modules.linear import Linear
from modules.mixers.monotonic import MonotonicMixing, StateInput


class RolloutAggregator(nn.Module):
    """``{ŝ_t, …, ŝ_{t+J}} -> ŝ^Rollout_t (…, F)``.

    `gru_reverse` reads the latents from the farthest to the nearest, so that the present is read last (MBVD).
    """

    def __init__(self, kind: str, latent_size: int, horizon: int, out_size: int) -> None:
        super().__init__()
        self.kind = kind
        if kind in ("gru", "gru_reverse"):
            self.gru = nn.GRU(latent_size, out_size)
        else:
            self.linear = Linear(latent_size * (horizon + 1 if kind == "concat" else 1), out_size)

    def forward(self, latents: Tensor) -> Tensor:
        """Aggregate ``(…, J+1, D) -> (…, F)``; there is at least one leading axis."""
        if self.kind == "concat":
            return self.linear(latents.flatten(-2))
        if self.kind == "mean":
            return self.linear(latents.mean(dim=-2))
        steps = latents.flatten(0, -3).transpose(0, 1)  # (J+1, R, D), R the leading axes as one
        if self.kind == "gru_reverse":
            steps = steps.flip(0)
        n_steps, R, _ = steps.shape
        h = unroll(self.gru, steps.flatten(0, 1), [R] * n_steps)
        return h[-R:].unflatten(0, latents.shape[:-2])


class RolloutQMixer(nn.Module):
    """Monotonic in every Q_i; hypernetworks see ``[s_t, ŝ^Rollout_t]``.

    Reads from `args`: `n_agents`, `state_shape` (S), `mixing_embed_dim`, `hypernet_embed`, `initial_value`,
    `initial_gain`, `use_world_model`, `rollout_agg`, `rollout_horizon` (J), `latent_dim` (per agent, so D = N ·
    latent_dim), `rollout_dim` (F is S, but no more than this), `mixer_state` (whether s_t is seen); see also
    `StateInput`. Without a world model it is QMIX.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        F = args.state_shape if args.rollout_dim is None else min(args.state_shape, args.rollout_dim)
        self.aggregate = (
            RolloutAggregator(args.rollout_agg, args.n_agents * args.latent_dim, args.rollout_horizon, F)
            if args.use_world_model
            else None
        )
        if not args.mixer_state and not args.use_world_model:
            raise ValueError("mixer_state=False use_world_model=False leaves the mixer nothing to see; take mixer=vdn")
        self.state = StateInput(args) if args.mixer_state else None
        condition_size = F * args.use_world_model + (0 if self.state is None else self.state.size)
        self.mixing = MonotonicMixing(
            args.n_agents, condition_size, args.mixing_embed_dim, args.hypernet_embed, args.initial_value,
            args.initial_gain,
        )

    def forward(self, agent_qs: Tensor, states: Tensor, rollout: Tensor | None = None) -> Tensor:
        """Mix ``Q_i (…, N)`` given ``s (…, S)`` and the latents ``rollout (…, J+1, D)`` to ``Q_tot (…)``."""
        seen = [] if self.state is None else [self.state(states)]
        if self.aggregate is not None:
            seen.append(self.aggregate(rollout))
        return self.mixing(agent_qs, seen[0] if len(seen) == 1 else th.cat(seen, dim=-1))
