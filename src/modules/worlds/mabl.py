"""MABL, «Bi-Level Latent-Variable World Model for Sample-Efficient MARL» (Venugopal et al., AAMAS 2024), §3.1 and §3.2.

Its equations have no numbers. Per agent two levels, a global one (g) that is there in training alone and an agent's
own (a), §3.1.1:

    recurrent models     h^{g,i}_t = f(h^{g,i}_{t-1}, z^{g,i}_{t-1}, a_{t-1})        a: the joint action
                         h^{a,i}_t = f(h^{a,i}_{t-1}, z^{a,i}_{t-1}, a^i_{t-1})
    representation       z^{g,i}_t ~ q(· | s_t, z^{a,i}_t, h^{g,i}_t)
                         z^{a,i}_t ~ q(· | o^i_t, h^{a,i}_t)
    transition           ẑ^{g,i}_t ~ p(· | h^{g,i}_t)
                         ẑ^{a,i}_t ~ p(· | h^{a,i}_t, z^{g,i}_t)
    observation                                  ~ p(· | h^a_t, z^a_t)

and the auxiliary components, §3.1.2:

    reward                                       ~ p(· | h^a_t, z^a_t)
    termination, available actions, own action   ~ p(· | h^a_t, z^a_t, h^g_t, z^g_t)

The loss is §3.2's: the ELBO with a KL for each level, balanced, and minus the log-likelihoods of §3.1.2; actor and
critic read what §3.3 has them read. The text has three forms of the global posterior: in §3.1.1's list, in its
«Benefits of Bi-Level Structure» and in §3.2's ELBO; here it reads s_t, z^a_t and h^g_t, as in the ELBO. So an agent's
prior sees, through z^g, the posterior z^a it is to foresee, which imagination lacks: `global_reads` (z^a, z^a behind a
stop-gradient, or the state alone) and `prior_reads` (z^g of the posterior, or of the prior) are settings, and the KL
under both is logged. With `single_global` (MABL-SG) one z^g serves all agents and reads the mean of their z^a.
"""

from typing import NamedTuple

import torch as th
from torch import Tensor, nn

from modules.worlds.contract import Decoded, Observed, Scalars, Segment
from modules.worlds.latents import kl
from modules.worlds.mlp import MLP, Hidden
from modules.worlds.own_action import OwnAction
from modules.worlds.settings import WorldSettings
from modules.worlds.world import World


class BiLevel(NamedTuple):
    """Both levels at a row: h and z (…, N, ·) are an agent's own; h_g, z_g (…, N or 1, ·) the global ones."""

    h: Tensor
    z: Tensor
    h_g: Tensor
    z_g: Tensor


class MABL(World):
    """See above."""

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__(settings)
        s = settings
        self.n_global = 1 if s.single_global else s.n_agents
        reads_agent = s.global_reads != "state"
        in_size = self.H + s.width + reads_agent * self.Z + self.n_global * s.agent_id
        self.state_encoder = Hidden(s.state_size, s.width, s.layers)
        self.before_global_gru = Hidden(self.Z + s.n_agents * s.action_size, s.width, 1)
        self.global_gru = nn.GRUCell(s.width, s.hidden)
        self.global_posterior_net = MLP(in_size, self.Z, s.width, 1)
        self.global_prior_net = MLP(self.H, self.Z, s.width, 1)
        self.prior_net = MLP(self.H + self.Z, self.Z, s.width, 1)
        width, layers, both = s.decoder_width, s.decoder_layers, 2 * self.features_size
        self.reward_net = MLP(self.features_size, self.rewards.size, width, layers, zero=True)
        self.goes_on_net = MLP(both, 1, width, layers)
        self.avail_net = MLP(both, s.n_avail, width, layers)
        self.own_action = OwnAction(both, settings)
        self.register_buffer("global_ids", th.eye(self.n_global), persistent=False)

    def start(self, *shape: int) -> BiLevel:
        """Return the state in front of a first row: zeros."""
        own = super().start(*shape)
        return BiLevel(*own, *(x.new_zeros(*shape, self.n_global, x.shape[-1]) for x in own))

    def recur_global(self, state: BiLevel, actions: Tensor) -> Tensor:
        """Return ``h^g_t``, from the joint action."""
        joint = actions.flatten(-2).unsqueeze(-2).expand(*actions.shape[:-2], self.n_global, -1)
        x = self.before_global_gru(th.cat([state.z_g, joint], dim=-1))
        return self.global_gru(x.flatten(0, -2), state.h_g.flatten(0, -2)).view(state.h_g.shape)

    def global_posterior(self, h_g: Tensor, world_state: Tensor, z: Tensor) -> Tensor:
        """Return ``q(z^g_t | s_t, z^a_t, h^g_t)``; `world_state` (…, S)."""
        s = self.settings
        seen = self.state_encoder(world_state).unsqueeze(-2).expand(*h_g.shape[:-1], s.width)
        parts = [h_g, seen]
        if s.global_reads != "state":
            own = z.detach() if s.global_reads == "detached" else z
            parts.append(own.mean(dim=-2, keepdim=True) if s.single_global else own)
        if s.agent_id:
            parts.append(self.global_ids.expand(*h_g.shape[:-1], self.n_global))
        return self.global_posterior_net(th.cat(parts, dim=-1))

    def global_prior(self, h_g: Tensor) -> Tensor:
        """Return ``p(z^g_t | h^g_t)``."""
        return self.global_prior_net(h_g)

    def agent_prior(self, h: Tensor, z_g: Tensor) -> Tensor:
        """Return ``p(z^a_t | h^a_t, z^g_t)``."""
        return self.prior_net(th.cat([h, self.to_agents(z_g)], dim=-1))

    def prior(self, h: Tensor, present: Tensor | None = None) -> Tensor:
        """Not enough for this model: see `agent_prior`."""
        raise NotImplementedError("an agent's prior reads z^g too: agent_prior")

    def to_agents(self, x: Tensor) -> Tensor:
        """Give every agent its global quantity: (…, N or 1, ·) -> (…, N, ·)."""
        return x.expand(*x.shape[:-2], self.n_agents, x.shape[-1])

    def step(
        self, state: BiLevel, actions: Tensor, embedded: Tensor, world_state: Tensor
    ) -> tuple[BiLevel, tuple[Tensor, ...]]:
        """Return both levels at the next row and their posteriors: first the agents', which the global one reads."""
        h, h_g = self.recur(state, actions), self.recur_global(state, actions)
        q = self.posterior(h, embedded)
        z = self.drawn(q)
        q_g = self.global_posterior(h_g, world_state, z)
        return BiLevel(h, z, h_g, self.drawn(q_g)), (q, q_g)

    def priors(self, states: BiLevel, present: Tensor | None) -> tuple[Tensor, ...]:
        """Return the priors of both levels at known rows."""
        p_g = self.global_prior(states.h_g)
        z_g = states.z_g if self.settings.prior_reads == "posterior" else self.drawn(p_g)
        return self.agent_prior(states.h, z_g), p_g

    def imagine_step(self, state: BiLevel, actions: Tensor, present: Tensor | None) -> BiLevel:
        """Return a next state that nobody has observed: from the top down."""
        h, h_g = self.recur(state, actions), self.recur_global(state, actions)
        z_g = self.drawn(self.global_prior(h_g))
        return BiLevel(h, self.drawn(self.agent_prior(h, z_g)), h_g, z_g)

    def both_levels(self, state: BiLevel) -> Tensor:
        """Return ``[h^a, z^a, h^g, z^g]`` (…, N, 2F)."""
        return th.cat([state.h, state.z, self.to_agents(state.h_g), self.to_agents(state.z_g)], dim=-1)

    def critic_features(self, state: BiLevel) -> Tensor:
        """Return both levels: the critic is there in training alone."""
        return self.both_levels(state)

    @property
    def critic_size(self) -> int:
        """2F."""
        return 2 * self.features_size

    def decode(self, before: BiLevel, state: BiLevel, present: Tensor | None = None) -> Decoded:
        """Decode the reward that arrived from an agent's own level, the rest from both."""
        both = self.both_levels(state)
        return Decoded(self.reward_net(self.features(state)), self.goes_on_net(both).squeeze(-1), self.avail_net(both))

    def action_losses(self, hidden: Tensor, segment: Segment, observed: Observed, there: Tensor) -> Scalars:
        """Return ``-log p(a)`` of own actions."""
        return self.own_action.losses(self.both_levels(observed.states), segment, there)

    @th.no_grad()
    def figures(self, observed: Observed) -> Scalars:
        """Return besides the agents' KL under z^g of the prior, as in imagination, and of the posterior."""
        found, q, states = super().figures(observed), observed.posterior[0], observed.states
        blind = self.agent_prior(states.h, self.drawn(self.global_prior(states.h_g)))
        seeing = self.agent_prior(states.h, states.z_g)
        for name, prior in (("kl_prior_global", blind), ("kl_posterior_global", seeing)):
            found[name] = kl(q, self.log_p(prior)).sum(dim=-1).mean()
        return found
