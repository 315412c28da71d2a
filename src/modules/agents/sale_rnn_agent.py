"""The agent network of MMSA (§4.2, Fig. 1 bottom): a GRU over the history, SALE, and Q_i(z^o, z^oa, φ^oa).

Letters: H hidden size, A actions, E embedding size. ``…`` stands for any leading axes, usually (B, T, N).
"""

from collections.abc import Sequence
from copy import deepcopy
from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.activations import ELU
from modules.agents.every_action import BLOCK, Layers, score
from modules.agents.history_encoder import HistoryEncoder, memory_of, own_parameters
from modules.entity_input import entity_input
from modules.linear import Float32Linear, Linear, linear
from modules.precision import casts
from modules.sale import SALE, ActionLinear, Normaliser, avg_l1

INITIAL_SCALE = 0.1  # what the head's last layer is scaled by at the start


class ValueHead(nn.Module):
    """``Q_i = MLP([z^o, z^oa, φ^oa])``: where all actions are scored, its first layer is taken in three `parts`.

    Values start near zero, for the reason given in `MonotonicMixing`.
    """

    def __init__(self, embed_size: int, n_agents: int | None = None) -> None:
        super().__init__()
        self.first = Linear(3 * embed_size, embed_size, n_agents=n_agents)
        self.last = Float32Linear(embed_size, 1, n_agents=n_agents)
        with th.no_grad():
            self.last.weight *= INITIAL_SCALE
            self.last.bias.zero_()

    def parts(self) -> tuple[Tensor, ...]:
        """Return the first layer's weights on z^o, z^oa and φ^oa, each (E, E)."""
        return self.first.weight.chunk(3, dim=-1)

    def finish(self, first: Tensor) -> Tensor:
        """Return Q (…) from the first layer's sum (…, E), which is lost."""
        return self.last(functional.relu(first, inplace=True)).squeeze(-1)


class SALERNNAgent(nn.Module):
    """Parameters shared by all agents, or with `share_parameters=False` one set for each.

    Reads from `args` besides: `rnn_hidden_dim`, `use_rnn`, `memoryless`, `layer_norm`, `n_actions`, `n_agents`,
    `obs_shape`, `sale_embed_dim`, `sale_normaliser`, `sale_input` (what f and g read: ``hidden`` h_t, or ``obs`` o_t),
    `phi_input` (the same for φ), `sale_detach` (f and g are not trained through Q), `sale_fixed` (Q reads copies of f
    and g, see `fix_encoders`), `agent_input` (the first layer: ``linear``, or as in `entity_input`),
    `agent_sale_predictor` and `sale_skip` (Q is a linear layer on h, and SALE adds to it).
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        H, A, E = args.rnn_hidden_dim, args.n_actions, args.sale_embed_dim
        self.sale_reads_obs, self.phi_reads_obs = args.sale_input == "obs", args.phi_input == "obs"
        self.reads_obs = self.sale_reads_obs or self.phi_reads_obs
        self.sale_detach = args.sale_detach
        own = own_parameters(args)
        first = None if args.agent_input == "linear" else entity_input(args.agent_input, input_shape, args)
        self.encoder = HistoryEncoder(input_shape, H, own, memory_of(args), first, args.layer_norm)
        self.sale = SALE(args.obs_shape if self.sale_reads_obs else H, 1, A, E, args.sale_normaliser, own)
        self.fixed_sale = deepcopy(self.sale).requires_grad_(False) if args.sale_fixed else None
        self.predictor = self._make_predictor(E, own) if args.agent_sale_predictor else None
        self.phi = ActionLinear(args.obs_shape if self.phi_reads_obs else H, 1, A, E, own)
        self.normalise_phi = Normaliser(args.sale_normaliser, E)
        self.head = ValueHead(E, own)
        self.skip = Float32Linear(H, A, n_agents=own) if args.sale_skip else None
        if self.reads_obs:
            # Imagination has no o_t: a linear head distilled from Q speaks there, see `q_imagined`.
            self.imagined_head = Float32Linear(H, A, n_agents=own)

    @staticmethod
    def _make_predictor(embed_size: int, own: int | None) -> nn.Sequential:
        first, last = (Linear(embed_size, embed_size, n_agents=own) for _ in range(2))
        return nn.Sequential(first, ELU(), last)

    def encode(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` of `sizes` rows at each step to ``h (R, N, H)``; see `HistoryEncoder`."""
        return self.encoder(inputs, sizes, hidden)

    @property
    def value_sale(self) -> SALE:
        """The f and g that Q reads."""
        return self.sale if self.fixed_sale is None else self.fixed_sale

    def fix_encoders(self) -> None:
        """Let Q read f and g as they are now, until the next call. For agents with `sale_fixed`."""
        self.fixed_sale.load_state_dict(self.sale.state_dict())

    def predict_next(self, u: Tensor, actions: Tensor) -> Tensor:
        """Predict ``z^o_{t+1}`` from ``u_t (…, X)`` and ``a_t (…, 1)`` for the SALE loss: (…, E)."""
        _, z_oa = self.sale(u, actions)
        return z_oa if self.predictor is None else self.predictor(z_oa)

    def sale_input(self, h: Tensor, obs: Tensor | None) -> Tensor:
        """Return ``u (…, X)``, what f and g read: h, or the observation."""
        return self._observation(obs) if self.sale_reads_obs else h

    def phi_input(self, h: Tensor, obs: Tensor | None) -> Tensor:
        """Return what φ reads: h, or the observation."""
        return self._observation(obs) if self.phi_reads_obs else h

    @staticmethod
    def _observation(obs: Tensor | None) -> Tensor:
        if obs is None:
            raise ValueError("sale_input=obs, phi_input=obs: q_from_hidden needs the observation, or use q_imagined")
        return obs

    @property
    def forgets(self) -> bool:
        """Whether Q reads nothing of the history."""
        return self.sale_reads_obs and self.phi_reads_obs and self.skip is None

    def q_from_hidden(self, h: Tensor, obs: Tensor | None = None) -> Tensor:
        """Score every action: ``h (…, H) -> Q (…, A)``; `obs (…, O)` is needed where f, g or φ read it."""
        q = self._q_every(self.phi_input(h, obs), self._embed_state(h, obs))
        return q if self.skip is None else q + self.skip(h)

    def score(self, h: Tensor, actions: Tensor, obs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ``Q (…)`` of the actions (…, 1), and ``Q (…, A)`` of every action without gradients.

        L_TD reaches the values of the actions taken alone, so that these are computed once more, one action each: their
        gradients then cost an A-th of what `q_from_hidden`'s would, which are zero for all other actions.
        """
        if self.normalise_phi.name == "batch":  # whose statistics are those of all actions' embeddings
            q = self.q_from_hidden(h, obs)
            return q.gather(-1, actions).squeeze(-1), q.detach()
        z, read = self._embed_state(h, obs), self.phi_input(h, obs)
        taken = self._q_given(read, z, actions)
        with th.no_grad():
            q = self._q_every(read, z)
        if self.skip is None:
            return taken, q
        linear_part = self.skip(h)
        return taken + linear_part.gather(-1, actions).squeeze(-1), q + linear_part.detach()

    def _q_given(self, read: Tensor, z: Tensor, actions: Tensor) -> Tensor:
        """Return what SALE says of given actions, as the paper writes it, from what φ reads, ``z^o (…, E)`` and a."""
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            z_oa = self.value_sale.g(z, actions)
        phi = self.normalise_phi(self.phi(read, actions))
        return self.head.finish(self.head.first(th.cat([z, z_oa, phi], dim=-1)))

    def _q_every(self, read: Tensor, z: Tensor) -> Tensor:
        """Return what SALE says of every action, from what φ reads and ``z^o (…, E)``: (…, A).

        What depends on the state is projected once; an action adds a row of a table. Two layers that follow each other
        without a nonlinearity are one product: g's third with the head's part for z^oa, and φ with the head's part
        for φ^oa, since AvgL1Norm divides all of an embedding by one number.
        """
        if not th.is_grad_enabled() and self._in_blocks(z):
            rows = score(self._by_action(), z.flatten(0, -2), self.phi.x_part(read).flatten(0, -2))
            return rows.view(*z.shape[:-1], -1)
        g, (weight_z, weight_za, weight_phi) = self.value_sale.g, self.head.parts()
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            before_third = g.finish(g.first.every(z))
        third_weight, third_bias = self._through_sale(g.third.weight), self._through_sale(g.third.bias)
        first = linear(before_third, weight_za @ third_weight)
        of_state = linear(z, weight_z, self.head.first.bias + _times(weight_za, third_bias))
        first += of_state.unsqueeze(self.phi.actions_axis)
        q = self.head.finish(self._add_phi(first, read, weight_phi))
        return q.transpose(-1, -2) if self.phi.actions_axis == -3 else q

    def _in_blocks(self, z: Tensor) -> bool:
        """Say whether there are enough rows on a CPU, of agents that share parameters, to be scored in blocks."""
        shared, many = self.phi.actions_axis == -2, z.numel() * self.phi.n_actions > BLOCK
        return shared and many and z.device.type == "cpu" and self.normalise_phi.name == "avgl1" and not casts()

    def _by_action(self) -> Layers:
        """Return the layers between z^o, φ's part for what it reads, and Q."""
        g, phi, head, A = self.value_sale.g, self.phi, self.head, self.phi.n_actions
        weight_z, weight_za, weight_phi = head.parts()
        table, identity = phi.action_table, th.eye(len(weight_z), dtype=weight_z.dtype)

        def listed(weight: Tensor, biases: Tensor) -> Tensor:
            return th.cat([weight.t().repeat(1, A), biases.reshape(1, -1)])

        return Layers(
            first=listed(g.first.x_weight, g.first.action_table + g.first.linear.bias),
            second=(g.second.weight.t(), g.second.bias),
            third=(weight_za @ g.third.weight).t(),
            of_z=listed(weight_z, (head.first.bias + weight_za @ g.third.bias).expand_as(table)),
            phi=listed(identity, table),
            of_phi=listed(weight_phi, table @ weight_phi.t()),
            last=(head.last.weight.t(), head.last.bias),
        )

    def _add_phi(self, first: Tensor, read: Tensor, weight_phi: Tensor) -> Tensor:
        """Add ``W_φ φ^oa`` of every action to ``first (…, A, E)``, in place."""
        state, table = self.phi.x_part(read), self.phi.action_table
        actions_axis = self.phi.actions_axis
        phi = state.unsqueeze(actions_axis) + table
        if self.normalise_phi.name != "avgl1":
            return first.add_(linear(self.normalise_phi(phi), weight_phi))
        return first.addcdiv_(
            linear(state, weight_phi).unsqueeze(actions_axis) + linear(table, weight_phi), avg_l1(phi)
        )

    def q_imagined(self, h: Tensor) -> Tensor:
        """Score every action where only the history exists: ``h (…, H) -> Q (…, A)``."""
        return self.imagined_head(h) if self.reads_obs else self.q_from_hidden(h)

    def _embed_state(self, h: Tensor, obs: Tensor | None) -> Tensor:
        with th.set_grad_enabled(th.is_grad_enabled() and not self.sale_detach):
            return self.value_sale.f(self.sale_input(h, obs))

    def _through_sale(self, weight: Tensor) -> Tensor:
        return weight.detach() if self.sale_detach else weight


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return ``M v``, or that of every agent: ``(N, E, E), (N, E) -> (N, E)``."""
    return matrix @ vector if vector.dim() == 1 else (matrix @ vector.unsqueeze(-1)).squeeze(-1)
