"""The part that remembers, which all agents and actors share: inputs of a history to hidden states."""

from collections.abc import Sequence
from types import SimpleNamespace

from torch import Tensor, nn
from torch.nn import functional

from modules.activations import Tanh
from modules.gru import AgentsGRU, unroll
from modules.linear import Linear


def own_parameters(args: SimpleNamespace) -> int | None:
    """Return how many agents have parameters of their own: None where all share them (`share_parameters`)."""
    return None if args.share_parameters else args.n_agents


MEMORYLESS = {"tanh": Tanh, "relu": nn.ReLU}


def memory_of(args: SimpleNamespace) -> str:
    """Return what remembers, or what stands in its place (`use_rnn`, `memoryless`)."""
    return "gru" if args.use_rnn else args.memoryless


class HistoryEncoder(nn.Module):
    """Linear, ReLU, GRU: ``x_t -> h_t``, an agent's action-observation history τ (PyMARL's RNN agent up to here).

    Without memory (`use_rnn=False`) a linear layer and `memoryless` stand in the GRU's place; h_t then says what x_t
    does, and nothing of the steps before. With ``tanh`` it lies in (-1, 1) all the same, as a world model expects it
    to; ``relu`` is EPyMARL's.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_agents: int | None = None,
        memory: str = "gru",
        first: nn.Module | None = None,
        layer_norm: bool = False,
    ) -> None:
        """Take sizes; how many agents have own parameters, None shares them; gru, or a name of `MEMORYLESS`.

        `first` takes the place of the first linear layer. With `layer_norm` what that gives is normalised over its
        numbers, with a scale and an offset that all agents share (Ba et al., 2016).
        """
        super().__init__()
        self.hidden_size = hidden_size
        self.fc1 = Linear(input_size, hidden_size, n_agents=n_agents) if first is None else first
        self.norm = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        sizes = hidden_size, hidden_size
        self.recurrent = memory == "gru"
        if self.recurrent:
            self.rnn = nn.GRU(*sizes) if n_agents is None else AgentsGRU(*sizes, n_agents)
        else:
            self.layer = nn.Sequential(Linear(*sizes, n_agents=n_agents), MEMORYLESS[memory]())

    def forward(self, inputs: Tensor, sizes: Sequence[int], hidden: Tensor | None = None) -> Tensor:
        """Unroll ``inputs (R, N, I)`` to ``h (R, N, H)``.

        Rows come step after step, `sizes` of them at each; the first ones of a step go on at the next (see
        `EpisodeRows`). Histories begin with ``hidden (sizes[0], N, H)``, or with zeros.
        """
        x = functional.relu(self.norm(self.fc1(inputs)), inplace=True)
        if not self.recurrent:
            return self.layer(x)
        R, N, _ = x.shape
        if isinstance(self.rnn, AgentsGRU):
            start = None if hidden is None else hidden.transpose(0, 1)
            return unroll(self.rnn, x.transpose(0, 1), sizes, start).transpose(0, 1)
        start = None if hidden is None else hidden.reshape(-1, self.hidden_size)
        return unroll(self.rnn, x.view(R * N, -1), [size * N for size in sizes], start).view(R, N, -1)
