"""MAMBA, «Scalable Multi-Agent Model-Based Reinforcement Learning» (Egorov and Shpilman, AAMAS 2022).

    recurrent model      h^i_t = f(e^i_{t-1}, h^i_{t-1}),   e^{1:n}_{t-1} = attention(z^{1:n}_{t-1}, a^{1:n}_{t-1})
    representation       z^i_t ~ q(· | h^i_t, o^i_t)
    transition           ẑ^i_t ~ p(· | h^i_t)
    observation, available actions        ~ p(· | h^i_t, z^i_t)
    reward, continuation                  ~ p(· | h^i_t, z^i_{t-1})
    own action                            ~ p(· | what the observation's decoder made of h^i_t, z^i_t)

Agents exchange latents and actions at every step, when they act too: execution is centralised. The last decoder
raises the information between an agent's latent and its action: by default the one that led to row t, as in the
authors' code. Indices of reward and continuation are that code's.

We have the paper's abstract and its authors' code (jbr-ai-labs/mamba), not its numbers: the networks are that code's
`agent/models/DreamerModel.py`, the losses `agent/optim/loss.py`. MABL says in §4 what its execution
needs, and takes its critic's attention in §3.3.
"""

import torch as th
from torch import Tensor

from modules.worlds.attention import AgentTransformer
from modules.worlds.contract import Decoded, Observed, Scalars, Segment, State
from modules.worlds.mlp import MLP
from modules.worlds.own_action import OwnAction
from modules.worlds.settings import WorldSettings
from modules.worlds.world import World


class MAMBA(World):
    """See above."""

    decentralised = False

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__(settings)
        s = settings
        self.communication = AgentTransformer(s.width, s.attention_layers, s.attention_heads, s.attention_hidden)
        self.prior_net = MLP(self.H, self.Z, s.width, 1)
        width, layers = s.decoder_width, s.decoder_layers
        self.reward_net = MLP(self.features_size, self.rewards.size, width, layers, zero=True)
        self.goes_on_net = MLP(self.features_size, 1, width, layers)
        self.avail_net = MLP(self.features_size, s.n_avail, width, layers)
        self.own_action = OwnAction(s.decoder_width, settings)

    def recur(self, state: State, actions: Tensor) -> Tensor:
        """Return ``h_t`` of every agent, after all have seen each other's latents and actions."""
        e = self.communication(self.before_gru(th.cat([state.z, actions], dim=-1)))
        return self.gru(e.flatten(0, -2), state.h.flatten(0, -2)).view(state.h.shape)

    def prior(self, h: Tensor, present: Tensor | None = None) -> Tensor:
        """Return ``p(z_t | h_t)``."""
        return self.prior_net(h)

    def decode(self, before: State, state: State, present: Tensor | None = None) -> Decoded:
        """Decode what arrived from ``h_t, z_{t-1}``, what can be done from ``h_t, z_t``."""
        arrived = th.cat([state.h, before.z], dim=-1)
        return Decoded(
            self.reward_net(arrived), self.goes_on_net(arrived).squeeze(-1), self.avail_net(self.features(state))
        )

    def action_losses(self, hidden: Tensor, segment: Segment, observed: Observed, there: Tensor) -> Scalars:
        """Return ``-log p(a)`` of own actions, from the hidden layers of the observation's decoder."""
        return self.own_action.losses(hidden, segment, there)
