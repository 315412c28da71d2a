"""The agent network of MMSA (§4.2, Fig. 1 bottom): a GRU over the history, SALE, and Q_i(z^o, z^oa, φ^oa).

Letters: H hidden size, A actions, E embedding size. ``…`` stands for any leading axes, usually (B, T, N).
"""

from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.history_encoder import HistoryEncoder
from modules.sale import SALE, ActionLinear, Normaliser

INITIAL_SCALE = 0.1  # what the head's last layer is scaled by at the start


class ValueHead(nn.Module):
    """``Q_i = MLP([z^o, z^oa, φ^oa])``: its first layer is kept in three parts, so that nothing is concatenated.

    Values start near zero, for the reason given in `MonotonicMixing`.
    """

    def __init__(self, embed_size: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * embed_size, embed_size)
        self.last = nn.Linear(embed_size, 1)
        with th.no_grad():
            self.last.weight *= INITIAL_SCALE
            self.last.bias.zero_()

    def parts(self) -> tuple[Tensor, ...]:
        """Return the first layer's weights on z^o, z^oa and φ^oa, each (E, E)."""
        return self.first.weight.chunk(3, dim=1)

    def finish(self, first: Tensor) -> Tensor:
        """Return Q (…) from the first layer's sum (…, E)."""
        return self.last(functional.relu(first)).squeeze(-1)


class SALERNNAgent(nn.Module):
    """Parameters shared by all agents.

    Reads from `args`: `rnn_hidden_dim`, `n_actions`, `obs_shape`, `sale_embed_dim`, `sale_normaliser`, `sale_input`
    (what f and g read: ``hidden`` h_t, or ``obs`` o_t) and `sale_detach` (f and g are not trained through Q).
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        H, A, E = args.rnn_hidden_dim, args.n_actions, args.sale_embed_dim
        self.reads_obs = args.sale_input == "obs"
        self.sale_detach = args.sale_detach
        self.encoder = HistoryEncoder(input_shape, H)
        self.sale = SALE(args.obs_shape if self.reads_obs else H, 1, A, E, args.sale_normaliser)
        self.phi = ActionLinear(H, 1, A, E)
        self.normalise_phi = Normaliser(args.sale_normaliser, E)
        self.head = ValueHead(E)
        if self.reads_obs:
            # Imagination has no o_t: a linear head distilled from Q speaks there, see `q_imagined`.
            self.imagined_head = nn.Linear(H, A)

    def encode(self, inputs: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (B, T, N, I)`` from ``hidden (B, N, H)`` to ``h (B, T, N, H)``."""
        return self.encoder(inputs, hidden)

    def sale_input(self, h: Tensor, obs: Tensor | None) -> Tensor:
        """Return ``u (…, X)``, what f and g read: h, or the observation."""
        if not self.reads_obs:
            return h
        if obs is None:
            raise ValueError("sale_input=obs: q_from_hidden needs the observation, or use q_imagined")
        return obs

    def q_from_hidden(self, h: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score every action: ``h (…, H) -> Q (…, A)``; `obs (…, O)` is needed with `sale_input=obs` alone.

        The same numbers as `q_of_actions` for each action in turn. What depends on the state is projected once, and
        the third layer of g and the head's part for z^oa, both linear, are one product.
        """
        z, g = self._embed_state(h, obs), self.sale.g
        weight_z, weight_za, weight_phi = self.head.parts()
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            before_third = g.finish(g.first.every(z))
        third_weight, third_bias = self._through_sale(g.third.weight), self._through_sale(g.third.bias)
        from_za = functional.linear(before_third, weight_za @ third_weight, weight_za @ third_bias)
        from_phi = functional.linear(self.normalise_phi(self.phi.every(h)), weight_phi)
        from_z = functional.linear(z, weight_z, self.head.first.bias)
        return self.head.finish(from_z.unsqueeze(-2) + from_za + from_phi)

    def q_of_actions(self, h: Tensor, actions: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score given actions: ``h (…, H), actions (…) int64 -> Q (…)``."""
        z, a = self._embed_state(h, obs), actions.unsqueeze(-1)
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            z_a = self.sale.g(z, a)
        phi = self.normalise_phi(self.phi(h, a))
        return self.head.finish(self.head.first(th.cat([z, z_a, phi], dim=-1)))

    def q_imagined(self, h: Tensor) -> Tensor:
        """Score every action where only the history exists: ``h (…, H) -> Q (…, A)``."""
        return self.imagined_head(h) if self.reads_obs else self.q_from_hidden(h)

    def _embed_state(self, h: Tensor, obs: Tensor | None) -> Tensor:
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            return self.sale.f(self.sale_input(h, obs))

    def _through_sale(self, weight: Tensor) -> Tensor:
        return weight.detach() if self.sale_detach else weight
