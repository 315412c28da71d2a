"""A Dreamer per agent (DreamerV2, Hafner et al., ICLR 2021, «World Model Learning»): nobody knows of anybody else.

MABL's paper runs it so (§4); DMAWM's repeats its two states in §3, «Learning latent dynamics».

    recurrent model      h_t = f(h_{t-1}, z_{t-1}, a_{t-1})
    representation       z_t ~ q(· | h_t, o_t)
    transition           ẑ_t ~ p(· | h_t)
    decoders             ô_t, r̂, ĉ, available actions ~ p(· | h_t, z_t)

each of the agent's own quantities, with parameters that all agents share. r̂ and ĉ are what arrived with row t.
"""

import torch as th
from torch import Tensor, nn

from modules.worlds.contract import Decoded, State
from modules.worlds.mlp import MLP, Hidden
from modules.worlds.settings import WorldSettings
from modules.worlds.world import World


class Outlook(nn.Module):
    """What arrived with a row, whether the task goes on, and what can be done: one trunk, three heads."""

    def __init__(self, size: int, settings: WorldSettings, reward_size: int) -> None:
        super().__init__()
        s = settings
        self.trunk = Hidden(size, s.decoder_width, s.decoder_layers)
        self.reward = MLP(s.decoder_width, reward_size, s.width, 0, zero=True)
        self.goes_on = MLP(s.decoder_width, 1, s.width, 0)
        self.avail = MLP(s.decoder_width, s.n_avail, s.width, 0)

    def forward(self, x: Tensor) -> Decoded:
        """Decode ``x (…, N, ·)``."""
        x = self.trunk(x)
        return Decoded(self.reward(x), self.goes_on(x).squeeze(-1), self.avail(x))


class Dreamer(World):
    """See above."""

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__(settings)
        self.prior_net = MLP(self.H, self.Z, settings.width, 1)
        self.outlook = Outlook(self.features_size, settings, self.rewards.size)

    def prior(self, h: Tensor, present: Tensor | None = None) -> Tensor:
        """Return ``p(z_t | h_t)``, each agent's from its own h."""
        return self.prior_net(h)

    def decode(self, before: State, state: State, present: Tensor | None = None) -> Decoded:
        """Decode a row from its own ``h_t, z_t``."""
        return self.outlook(th.cat([state.h, state.z], dim=-1))
