"""DMAWM, «Learning Disentangled Multi-Agent World Model for Decentralized Control» (ICML 2026), §4.1 and A.3.

Agent modules, each on its own (eq. 1):

    recurrent model          h^i_t = f_ψ(h^i_{t-1}, z^i_{t-1}, a^i_{t-1})
    representation model     z^i_t ~ q_ψ(· | h^i_t, o^i_t)

The environment module, which in imagination stands for the world between them (eq. 2):

    interaction predictor    ẑ^{1:n}_t ~ p_φ(· | h^{1:n}_t)       a transformer over agents, then one MLP for each
    observation decoder      ô^i_t ~ p_φ(· | h^i_t, z^i_t)
    reward, continuation,
    available actions        r̂, ĉ, m̂^{1:n}_t ~ p_φ(· | h^{1:n}_t)  a second transformer, then an MLP for each quantity

The loss is eq. 3 to 6: the prior, one for all agents, is a product over them given all h, so its KL from the factorised
posterior is a sum over agents. ``r̂_t`` and ``ĉ_t`` are what arrived with row t (eq. 7 writes the reward's index one
lower). Without `interaction` (DMAWM-IP) each agent is predicted from its own h. With absence *predicted* instead of
absorbed (DMAWM-AS) there is a head for it, and transformers do not see who is absent.
"""

from torch import Tensor, nn

from modules.worlds.attention import AgentTransformer
from modules.worlds.contract import Decoded, State
from modules.worlds.mlp import MLP
from modules.worlds.settings import WorldSettings
from modules.worlds.world import World


class DMAWM(World):
    """See above."""

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__(settings)
        s = settings
        self.interactions, self.outlook = (self._transformer() for _ in range(2))
        self.prior_net = MLP(self.H, self.Z, s.width, 1)
        width, layers = s.decoder_width, s.decoder_layers
        self.reward_net = MLP(self.H, self.rewards.size, width, layers, zero=True)
        self.goes_on_net = MLP(self.H, 1, width, layers)
        self.avail_net = MLP(self.H, s.n_avail, width, layers)
        self.absent_net = MLP(self.H, 1, width, layers) if s.absent == "predicted" else None

    def _transformer(self) -> nn.Module | None:
        s = self.settings
        if not s.interaction:
            return None
        return AgentTransformer(s.hidden, s.attention_layers, s.attention_heads, s.attention_hidden)

    def prior(self, h: Tensor, present: Tensor | None = None) -> Tensor:
        """Return ``p_φ(z^{1:n}_t | h^{1:n}_t)``, the interaction predictor's."""
        return self.prior_net(h if self.interactions is None else self.interactions(h, present))

    def decode(self, before: State, state: State, present: Tensor | None = None) -> Decoded:
        """Decode a row from all agents' h_t alone: what arrives is known before the row is seen."""
        x = state.h if self.outlook is None else self.outlook(state.h, present)
        absent = None if self.absent_net is None else self.absent_net(x).squeeze(-1)
        return Decoded(self.reward_net(x), self.goes_on_net(x).squeeze(-1), self.avail_net(x), absent)
