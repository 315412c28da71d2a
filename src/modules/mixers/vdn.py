"""Value decomposition networks (Sunehag et al., 2017)."""

from types import SimpleNamespace

from torch import Tensor, nn


class VDNMixer(nn.Module):
    """``Q_tot = Σ_i Q_i``. No parameters."""

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """Mix ``Q_i (…, N)`` to ``Q_tot (…)``; the state is not read."""
        return agent_qs.sum(dim=-1)
