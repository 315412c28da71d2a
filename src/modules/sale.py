"""State-action learned embeddings (SALE), per agent and for the team.

``z^s = AvgL1Norm(f(s))``, ``z^sa = g(z^s, a)`` (MMSA §4.2; SALE/TD7, Fujimoto et al. 2023). The two encoders know
nothing of what is done with them: which loss trains them, and where gradients stop, is decided by their callers.

Letters: E embedding size, A actions, n actors (1 for an agent, N for the team). With `n_agents` every agent has
parameters of its own, and there is an axis of N agents before the last of whatever is read (see `Linear`).
"""

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.activations import ELU, elu
from modules.linear import Linear, linear


def avg_l1(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Return ``max(mean|x|, eps)`` over the last axis, which stays with size 1."""
    return x.abs().mean(dim=-1, keepdim=True).clamp(min=eps)


def avg_l1_norm(x: Tensor) -> Tensor:
    """Divide by the mean absolute value of the last axis: ``AvgL1Norm(x) = x / max(mean|x|, eps)`` (MMSA §4.2)."""
    return x / avg_l1(x)


class Normaliser(nn.Module):
    """The normaliser of an embedding (…, E); `avgl1` is the paper's, the others are its design study (Fig. 7).

    `batch` takes its statistics over all rows it is given, padding included, and over what is scored together; with
    the others a row's embedding depends on that row alone.
    """

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.name, self.size = name, size
        if name == "batch":
            self.batch_norm = nn.BatchNorm1d(size, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised embedding, of the same shape."""
        if self.name == "avgl1":
            return avg_l1_norm(x)
        if self.name == "none":
            return x
        if self.name == "layer":
            return functional.layer_norm(x, (self.size,))
        if self.name == "l2":
            return functional.normalize(x, dim=-1)
        if self.name == "batch":
            return self.batch_norm(x.reshape(-1, self.size)).reshape(x.shape)
        raise ValueError(f"normaliser {self.name!r}: avgl1, none, layer, batch or l2")


def feature_normaliser(wanted: bool, size: int) -> Normaliser:
    """Return MAPPO's feature normalisation of ``x (…, size)``, or what gives x back.

    It is layer normalisation (Ba et al., 2016) without its gains and shifts: the linear layer behind it has them.
    """
    return Normaliser("layer" if wanted else "none", size)


class ActionLinear(nn.Module):
    """A linear layer on ``[x, onehot(a_1), …, onehot(a_n)]``.

    Where every action is asked for, ``W [x, onehot(a)] + b = W_x x + b + W_a[a]``: `x` is projected once, an action
    adds one row of a table.

    An action starts with as much say as the whole of `x`: its row is √X times as long as a linear layer would draw
    it. Drawn as usual, it is one input among X, and values hardly differ between actions for most of a run.
    """

    def __init__(
        self, x_size: int, n_actors: int, n_actions: int, out_size: int, n_agents: int | None = None
    ) -> None:
        super().__init__()
        self.x_size, self.n_actors, self.n_actions = x_size, n_actors, n_actions
        self.linear = Linear(x_size + n_actors * n_actions, out_size, n_agents=n_agents)
        self.actions_axis = -2 if n_agents is None else -3
        with th.no_grad():
            self.linear.weight[..., x_size:] *= x_size**0.5

    @property
    def x_weight(self) -> Tensor:
        """``W_x (out, X)``."""
        return self.linear.weight[..., : self.x_size]

    @property
    def action_table(self) -> Tensor:
        """``W_i[a]`` as rows (n·A, out), laid out as such: a sum takes on the layout of what is added.

        Of agents with parameters of their own (n·A, N, out).
        """
        return self.linear.weight[..., self.x_size :].movedim(-1, 0).contiguous()

    def x_part(self, x: Tensor) -> Tensor:
        """Return ``W_x x + b``: ``(…, X) -> (…, out)``."""
        return linear(x, self.x_weight, self.linear.bias)

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        """Apply to given actions: ``(…, X), (…, n) int64 -> (…, out)``."""
        return self.linear(self.inputs(x, actions))

    def inputs(self, x: Tensor, actions: Tensor) -> Tensor:
        """Return what the layer reads, ``[x, onehot(a_1), …, onehot(a_n)]``: (…, X + n·A)."""
        return th.cat([x, self._onehots(actions)], dim=-1)

    def every(self, x: Tensor) -> Tensor:
        """Apply to every action of a single actor: ``(…, X) -> (…, A, out)``.

        Agents with parameters of their own keep the axis before the last: ``(…, N, X) -> (…, A, N, out)``.
        """
        assert self.n_actors == 1, "only a single actor's actions can be listed"
        return self.x_part(x).unsqueeze(self.actions_axis) + self.action_table

    def _onehots(self, actions: Tensor) -> Tensor:
        """Return ``onehot(a_1), …, onehot(a_n)`` (…, n·A). PyTorch's own `one_hot` makes the CPU wait for a GPU."""
        n, A = self.n_actors, self.n_actions
        offsets = th.arange(0, n * A, A, device=actions.device)
        onehots = th.zeros(*actions.shape[:-1], n * A, dtype=self.linear.weight.dtype, device=actions.device)
        return onehots.scatter_(-1, actions + offsets, 1.0)


class StateEncoder(nn.Module):
    """``f``: three linear layers with ELU between, then the normaliser. ``(…, X) -> z (…, E)``."""

    def __init__(self, x_size: int, embed_size: int, normaliser: str, n_agents: int | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(x_size, embed_size, n_agents=n_agents), ELU(),
            Linear(embed_size, embed_size, n_agents=n_agents), ELU(),
            Linear(embed_size, embed_size, n_agents=n_agents),
        )  # fmt: skip
        self.normalise = Normaliser(normaliser, embed_size)

    def forward(self, x: Tensor) -> Tensor:
        """Embed a state, latent state or history."""
        return self.normalise(self.layers(x))


class StateActionEncoder(nn.Module):
    """``g``: three linear layers with ELU between. ``z (…, E), a (…, n) -> z^sa (…, E)``."""

    def __init__(self, embed_size: int, n_actors: int, n_actions: int, n_agents: int | None = None) -> None:
        super().__init__()
        self.first = ActionLinear(embed_size, n_actors, n_actions, embed_size, n_agents)
        self.second = Linear(embed_size, embed_size, n_agents=n_agents)
        self.third = Linear(embed_size, embed_size, n_agents=n_agents)

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """Embed the pair of an embedded state and given actions."""
        return self.third(self.before_third(z, actions))

    def before_third(self, z: Tensor, actions: Tensor) -> Tensor:
        """Return what the third layer reads for ``z (…, E)`` and given actions (…, n): (…, E)."""
        return self.finish(self.first(z, actions))

    def finish(self, first: Tensor) -> Tensor:
        """Return what the third layer reads, from what the first one gave (and is lost): ``(…, E) -> (…, E)``."""
        return elu(self.second(elu(first, inplace=True)), inplace=True)


class SALE(nn.Module):
    """The pair of encoders ``f`` and ``g``."""

    def __init__(
        self,
        x_size: int,
        n_actors: int,
        n_actions: int,
        embed_size: int,
        normaliser: str,
        n_agents: int | None = None,
    ) -> None:
        super().__init__()
        self.f = StateEncoder(x_size, embed_size, normaliser, n_agents)
        self.g = StateActionEncoder(embed_size, n_actors, n_actions, n_agents)

    def forward(self, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z^s (…, E)`` and ``z^sa (…, E)`` for ``x (…, X)`` and given ``actions (…, n)``."""
        z = self.f(x)
        return z, self.g(z, actions)
