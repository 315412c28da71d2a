"""The monotonic mixing network of QMIX (Rashid et al., 2018, 2020), conditioned on any vector."""

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.linear import Linear, linear

INITIAL_GAIN = 0.1  # what w_2 is scaled by at the start; for states of a few raw cells, dQ_tot/dQ_i then starts near 1


class MonotonicMixing(nn.Module):
    """``Q_tot = w_2(c)ᵀ ELU(W_1(c) Q + b_1(c)) + V(c)`` with ``W_1, w_2 >= 0``, so that ``∂Q_tot/∂Q_i >= 0``.

    Hypernetworks turn the condition ``c (…, C)`` into the weights; M is the embedding size of the mixing network.

    It starts with V = `initial_value` and small w_2. States are raw numbers (cells of a grid, say), so with the usual
    start Q_tot is off by several times the largest return. Where episodes end by time limit, and so bootstrap,
    nothing but the discount takes that offset away again, over hundreds of target updates. b_1 starts as usual: what
    is left of it in Q_tot differs from state to state, and agents that start with b_1 = 0 explore less (docs/mmsa.md).
    """

    def __init__(
        self,
        n_agents: int,
        condition_size: int,
        embed_dim: int,
        hypernet_embed: int,
        initial_value: float,
    ) -> None:
        super().__init__()
        self.n_agents, self.embed_dim = n_agents, embed_dim

        def hypernet(out_size: int) -> nn.Sequential:
            return nn.Sequential(
                Linear(condition_size, hypernet_embed), nn.ReLU(), Linear(hypernet_embed, out_size)
            )

        self.hyper_w_1 = hypernet(n_agents * embed_dim)
        self.hyper_w_2 = hypernet(embed_dim)
        self.hyper_b_1 = Linear(condition_size, embed_dim)
        self.value = nn.Sequential(Linear(condition_size, embed_dim), nn.ReLU(), Linear(embed_dim, 1))
        with th.no_grad():
            for parameter in self.hyper_w_2[-1].parameters():
                parameter.mul_(INITIAL_GAIN)
            self.value[-1].weight.zero_()
            self.value[-1].bias.fill_(initial_value)

    def forward(self, agent_qs: Tensor, condition: Tensor) -> Tensor:
        """Mix ``Q_i (…, N)`` given ``c (…, C)`` to ``Q_tot (…)``."""
        w_1, w_2, b_1, value = self._hypernets(condition)
        w_1 = w_1.abs().unflatten(-1, (self.n_agents, self.embed_dim))
        # One small product per row: multiplied and summed, which a batched matrix product takes ten times as long for.
        hidden = functional.elu((agent_qs.unsqueeze(-1) * w_1).sum(dim=-2) + b_1, inplace=True)
        return (hidden * w_2.abs()).sum(dim=-1) + value.squeeze(-1)

    def _hypernets(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Return what `hyper_w_1`, `hyper_w_2`, `hyper_b_1` and `value` make of the condition.

        All four begin with a linear layer on it, which here is one product.
        """
        nets = (self.hyper_w_1, self.hyper_w_2, self.value)
        firsts = [*(net[0] for net in nets), self.hyper_b_1]
        weight, bias = th.cat([layer.weight for layer in firsts]), th.cat([layer.bias for layer in firsts])
        *hidden, b_1 = linear(condition, weight, bias).split([layer.out_features for layer in firsts], dim=-1)
        w_1, w_2, value = (net[2](net[1](first)) for net, first in zip(nets, hidden, strict=True))
        return w_1, w_2, b_1, value
