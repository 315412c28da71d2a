"""First layers that treat what is seen alike: entities in another order change nothing.

Letters: N agents, I input size, n entities of a kind, F numbers of each, D hidden size of hypernetworks, H output size,
K heads.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.linear import Linear

KNOWN = "lbf, smax, sc2, sc2v2 and gymma's pz-mpe-simple-spread-v3 have it"


class EntityReader(nn.Module):
    """Takes inputs ``[o, …] (…, I)`` apart: one's own numbers, and each kind's.

    What follows the observation (last action, number) is one's own. `entities` are as in `EnvInfo`: `own`, and `kinds`
    with `features` (n, F) and `actions` (n,) or ().
    """

    def __init__(self, entities: Any, obs_size: int, input_size: int) -> None:
        super().__init__()
        own = [*entities.own, *range(obs_size, input_size)]
        self.own_size, self.sizes = len(own), [len(kind.features[0]) for kind in entities.kinds]
        self.register_buffer("own", th.tensor(own, dtype=th.int64), persistent=False)
        for index, kind in enumerate(entities.kinds):
            self.register_buffer(f"kind_{index}", th.tensor(kind.features), persistent=False)

    def own_part(self, inputs: Tensor) -> Tensor:
        """Return what is one's own: (…, O)."""
        return inputs[..., self.own]

    def kind(self, inputs: Tensor, index: int) -> Tensor:
        """Return the entities of a kind: (…, n, F)."""
        return inputs[..., getattr(self, f"kind_{index}")]


class MergedHeads(nn.Module):
    """The mean of K heads, each number's weighted by a softmax of its own; equal weights at the start."""

    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(th.zeros(heads, size))

    def forward(self, x: Tensor) -> Tensor:
        """``(…, K, X) -> (…, X)``."""
        return (self.weight.softmax(dim=0) * x).sum(dim=-2)


class HyperInput(nn.Module):
    """``W own + Σ_e W_k(e) e``: a hypernetwork for each kind k makes the weights of an entity from its own numbers.

    Hao et al., «Boosting Multiagent Reinforcement Learning via Permutation Invariant and Permutation Equivariant
    Networks» (ICLR 2023), §4.1. With several heads it makes as many weights, whose sums over all entities are merged.
    `hidden` is what the output layer of `HPNRNNAgent` reads as well.
    """

    def __init__(
        self, entities: Any, obs_size: int, input_size: int, out_size: int, hyper_dim: int, heads: int = 1
    ) -> None:
        super().__init__()
        self.heads = heads
        self.read = EntityReader(entities, obs_size, input_size)
        self.of_own = Linear(self.read.own_size, out_size)
        self.hyper = nn.ModuleList(Linear(size, hyper_dim) for size in self.read.sizes)
        # W_k(e) = M_k [relu(A_k e + a_k), 1], for each of the entity's F numbers.
        made = heads * out_size
        self.weights = nn.ModuleList(Linear(size * (hyper_dim + 1), made, bias=False) for size in self.read.sizes)
        self.merge = MergedHeads(heads, out_size) if heads > 1 else None

    def hidden(self, entities: Tensor, kind: int) -> Tensor:
        """Return ``[relu(A e + a), 1] (…, n, D+1)`` of entities (…, n, F)."""
        return functional.pad(self.hyper[kind](entities).relu(), (0, 1), value=1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(…, I) -> (…, H)``.

        What a hypernetwork makes is linear in ``e ⊗ hidden(e)``, so these are added up over entities first.
        """
        total = self.of_own(self.read.own_part(inputs))
        if self.merge is None:
            return sum((weights(products) for weights, products in self._products(inputs)), start=total)
        heads = sum(weights(products) for weights, products in self._products(inputs))
        return total + self.merge(heads.unflatten(-1, (self.heads, -1)))

    def _products(self, inputs: Tensor) -> Iterator[tuple[nn.Module, Tensor]]:
        """Yield each kind's `weights`, and what they take: its ``e ⊗ hidden(e)``, added up, (…, F · (D+1))."""
        for kind, weights in enumerate(self.weights):
            entities = self.read.kind(inputs, kind)
            yield weights, (entities.transpose(-1, -2) @ self.hidden(entities, kind)).flatten(-2)


class SetInput(nn.Module):
    """``W own + U Σ_e relu(A_k e + a_k)``: a network for each kind, added up (Deep Sets; HPN's baseline SET)."""

    def __init__(self, entities: Any, obs_size: int, input_size: int, out_size: int, hyper_dim: int) -> None:
        super().__init__()
        self.read = EntityReader(entities, obs_size, input_size)
        self.of_own = Linear(self.read.own_size, out_size)
        self.inner = nn.ModuleList(Linear(size, hyper_dim) for size in self.read.sizes)
        self.outer = nn.ModuleList(Linear(hyper_dim, out_size, bias=False) for _ in self.read.sizes)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(…, I) -> (…, H)``."""
        total = self.of_own(self.read.own_part(inputs))
        for kind, (inner, outer) in enumerate(zip(self.inner, self.outer, strict=True)):
            total = total + outer(inner(self.read.kind(inputs, kind)).relu().sum(dim=-2))
        return total


INPUTS = ("hpn", "set")


def entity_input(form: str, input_size: int, args: SimpleNamespace) -> nn.Module:
    """Return a first layer for inputs of that size. Raises ValueError where nothing is known of observations.

    Reads from `args`: `entities`, `obs_shape`, `rnn_hidden_dim`, `entity_dim` (D), `hpn_heads` (K), `share_parameters`.
    """
    if args.entities is None:
        raise ValueError(f"{form} has to know what an observation is made of: {KNOWN}")
    if not args.share_parameters:
        raise ValueError(f"{form} is for agents that share their parameters: take share_parameters=True")
    sizes = args.obs_shape, input_size, args.rnn_hidden_dim, args.entity_dim
    return SetInput(args.entities, *sizes) if form == "set" else HyperInput(args.entities, *sizes, args.hpn_heads)
