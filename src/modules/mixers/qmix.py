"""QMIX (Rashid et al., 2018, 2020): monotonic mixing conditioned on the global state."""

from types import SimpleNamespace

from torch import Tensor, nn

from modules.mixers.monotonic import MonotonicMixing, StateInput


class QMixer(nn.Module):
    """Mixes given the state; see also `StateInput`.

    Reads from `args`: `n_agents`, `mixing_embed_dim`, `hypernet_embed`, `initial_value`, `initial_gain`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.state = StateInput(args)
        self.mixing = MonotonicMixing(
            args.n_agents, self.state.size, args.mixing_embed_dim, args.hypernet_embed, args.initial_value,
            args.initial_gain,
        )

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """Mix ``Q_i (…, N)`` given ``s (…, S)`` to ``Q_tot (…)``."""
        return self.mixing(agent_qs, self.state(states))

    def credits(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """Return ``∂Q_tot/∂Q_i (…, N)``."""
        return self.mixing.credits(agent_qs, self.state(states))
