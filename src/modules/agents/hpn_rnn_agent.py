"""Agents that treat entities alike: HPN's, whose actions on entities follow them, and SET's."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch as th
from torch import Tensor, nn

from modules.agents.history_encoder import HistoryEncoder, memory_of
from modules.entity_input import MergedHeads, entity_input
from modules.linear import Float32Linear, Linear
from modules.precision import float32


class SetRNNAgent(nn.Module):
    """PyMARL's recurrent agent behind a sum over entities; its actions are a linear layer's.

    Reads from `args`: `rnn_hidden_dim` (H), `use_rnn`, `memoryless`, `layer_norm`, `n_actions`, and what
    `entity_input` does.
    """

    FORM = "set"

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        first = entity_input(self.FORM, input_shape, args)
        self.encoder = HistoryEncoder(input_shape, args.rnn_hidden_dim, None, memory_of(args), first, args.layer_norm)
        self._make_head(args)

    def _make_head(self, args: SimpleNamespace) -> None:
        self.fc2 = Float32Linear(args.rnn_hidden_dim, args.n_actions)

    def encode(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` of `sizes` rows at each step to ``h (R, N, H)``; see `HistoryEncoder`."""
        return self.encoder(inputs, sizes, hidden)

    def q_from_hidden(self, h: Tensor, obs: Tensor) -> Tensor:
        """Score every action: ``h (…, H), o (…, obs_size) -> Q (…, A)``."""
        return self.fc2(h)

    def score(self, h: Tensor, actions: Tensor, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``Q (…)`` of the actions (…, 1), and ``Q (…, A)`` of every action without gradients."""
        q = self.q_from_hidden(h, obs)
        return q.gather(-1, actions).squeeze(-1), q.detach()


class HPNRNNAgent(SetRNNAgent):
    """HPN's agent (Hao et al., ICLR 2023): invariant inputs, and outputs that follow the entities.

    ``Q(a_e) = v_k(e)ᵀ h + b_k(e)`` for the action on an entity e, where the hypernetwork of its kind makes v and b from
    its numbers (§4.2); a linear layer scores the other actions. With several heads (`hpn_heads`) there are as many
    scores of an action on an entity, which are merged.
    """

    FORM = "hpn"

    def _make_head(self, args: SimpleNamespace) -> None:
        H, hyper_dim = args.rnn_hidden_dim, args.entity_dim
        self.acted_on = [index for index, kind in enumerate(args.entities.kinds) if kind.actions]
        on = [action for index in self.acted_on for action in args.entities.kinds[index].actions]
        others = [action for action in range(args.n_actions) if action not in on]
        order = th.tensor([*others, *on]).argsort()
        self.register_buffer("order", order, persistent=False)
        self.fc2 = Linear(H, len(others))
        self.heads = args.hpn_heads
        made = self.heads * (hyper_dim + 1)
        self.of_h = nn.ModuleList(Linear(H, made, bias=False) for _ in self.acted_on)
        self.of_entity = nn.ModuleList(Linear(hyper_dim + 1, self.heads, bias=False) for _ in self.acted_on)
        several = self.acted_on if self.heads > 1 else []
        self.merge = nn.ModuleList(MergedHeads(self.heads, 1) for _ in several)

    def q_from_hidden(self, h: Tensor, obs: Tensor) -> Tensor:
        """Score every action: ``h (…, H), o (…, obs_size) -> Q (…, A)``; values stay in float32."""
        with float32(h.device):
            return self._scores(h, obs)

    def _scores(self, h: Tensor, obs: Tensor) -> Tensor:
        scores, first = [self.fc2(h)], self.encoder.fc1
        for number, index in enumerate(self.acted_on):
            hidden = first.hidden(first.read.kind(obs, index), index)  # (…, n, D+1)
            # v = V [hidden, 1] is linear, so V takes h first: one product for all entities.
            of_h = self.of_h[number](h).unflatten(-1, (self.heads, -1)).mT
            each = hidden @ of_h + self.of_entity[number](hidden)  # (…, n, K)
            scores.append(self.merge[number](each.unsqueeze(-1)).squeeze(-1) if self.merge else each.squeeze(-1))
        return th.cat(scores, dim=-1)[..., self.order]
