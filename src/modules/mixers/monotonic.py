"""The monotonic mixing network of QMIX (Rashid et al., 2018, 2020), conditioned on any vector."""

from types import SimpleNamespace

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.linear import Linear, linear


class StateInput(nn.Module):
    """The state as hypernetworks read it: as it is, or where it is long through one narrow linear layer.

    The state of many tasks is all observations in a row: with N agents as much as N times one of them. Four first
    layers of hypernetworks on that are most of an update's time; behind a narrow layer they are QMIX's own, of low
    rank.

    Reads from `args`: `state_shape` (S), `long_state`, `long_state_dim`. Its result has `size` numbers.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        S = args.state_shape
        narrow = args.long_state is not None and S > args.long_state
        self.size = args.long_state_dim if narrow else S
        self.layer = Linear(S, self.size) if narrow else None

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(…, size)`` of ``s (…, S)``."""
        return states if self.layer is None else self.layer(states)


class MonotonicMixing(nn.Module):
    """``Q_tot = w_2(c)ᵀ ELU(W_1(c) Q + b_1(c)) + V(c)`` with ``W_1, w_2 >= 0``, so that ``∂Q_tot/∂Q_i >= 0``.

    Hypernetworks turn the condition ``c (…, C)`` into the weights; M is the embedding size of the mixing network.

    It starts with V = `initial_value` and w_2 scaled by `initial_gain`; with None and 1 as PyTorch has it. States are
    raw numbers (cells of a grid, say), so with the usual start Q_tot is off by several times the largest return.
    Where episodes end by time limit, and so bootstrap, nothing but the discount takes that offset away again, over
    hundreds of target updates. b_1 starts as usual: what is left of it in Q_tot differs from state to state, and
    agents that start with b_1 = 0 explore less (docs/measurements/start.md).

    Both the slope ``∂Q_tot/∂Q_i`` and that offset still hang on the scale of the states; `slope_over` measures it, and
    `start_at` takes it away.
    """

    def __init__(
        self,
        n_agents: int,
        condition_size: int,
        embed_dim: int,
        hypernet_embed: int,
        initial_value: float | None,
        initial_gain: float,
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
                parameter.mul_(initial_gain)
            if initial_value is not None:
                self.value[-1].weight.zero_()
                self.value[-1].bias.fill_(initial_value)

    def forward(self, agent_qs: Tensor, condition: Tensor) -> Tensor:
        """Mix ``Q_i (…, N)`` given ``c (…, C)`` to ``Q_tot (…)``."""
        w_1, w_2, b_1, value = self._hypernets(condition)
        w_1 = w_1.abs().unflatten(-1, (self.n_agents, self.embed_dim))
        # One small product per row: multiplied and summed, which a batched matrix product takes ten times as long for.
        hidden = functional.elu((agent_qs.unsqueeze(-1) * w_1).sum(dim=-2) + b_1, inplace=True)
        return (hidden * w_2.abs()).sum(dim=-1) + value.squeeze(-1)

    def credits(self, agent_qs: Tensor, condition: Tensor) -> Tensor:
        """Return ``∂Q_tot/∂Q_i (…, N)``: of ``Q_i (…, N)`` given ``c (…, C)``, written out."""
        w_1, w_2, b_1, _ = self._hypernets(condition)
        w_1 = w_1.abs().unflatten(-1, (self.n_agents, self.embed_dim))
        slope = ((agent_qs.unsqueeze(-1) * w_1).sum(dim=-2) + b_1).clamp(max=0).exp()  # of ELU
        return (w_1 * (slope * w_2.abs()).unsqueeze(-2)).sum(dim=-1)

    @th.no_grad()
    def slope_over(self, condition: Tensor, weights: Tensor) -> Tensor:
        """Return ``∂Q_tot/∂Q_i`` at Q = 0, a mean over agents and ``c (R, C)``, with `weights` as for `start_at`."""
        credits = self.credits(condition.new_zeros(len(condition), self.n_agents), condition)
        return weights @ credits.mean(dim=-1)

    @th.no_grad()
    def start_at(self, slope: float, value: float, condition: Tensor, weights: Tensor) -> None:
        """Scale w_2, shift V: over ``c (R, C)``, at Q = 0, ``∂Q_tot/∂Q_i`` is `slope` and Q_tot `value` on average.

        `weights (R,)` are the rows' shares in the average; they add up to 1. Networks are started so on data by
        Mishkin and Matas («All you need is a good init», 2016).
        """
        gain = slope / self.slope_over(condition, weights)
        _, w_2, b_1, v = self._hypernets(condition)
        for parameter in self.hyper_w_2[-1].parameters():
            parameter.mul_(gain)
        offset = gain * (functional.elu(b_1) * w_2.abs()).sum(dim=-1) + v.squeeze(-1)
        self.value[-1].bias.add_(value - weights @ offset)

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
