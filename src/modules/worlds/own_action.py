"""The decoder of an agent's own action, which keeps its latent its own (MAMBA; MABL §3.1.2)."""

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.worlds.contract import Scalars, Segment, one_step_earlier
from modules.worlds.mlp import MLP
from modules.worlds.settings import WorldSettings


class OwnAction(nn.Module):
    """Says which action *led to* row t (`own_action="last"`, MAMBA's code) or is taken after it (`"next"`, MABL's â_t).

    Of continuous actions the papers give no density: the squared error of their numbers.
    """

    def __init__(self, size: int, settings: WorldSettings) -> None:
        super().__init__()
        self.settings = settings
        self.net = None if settings.own_action == "none" else MLP(size, settings.action_size, settings.decoder_width, 1)

    def losses(self, x: Tensor, segment: Segment, there: Tensor) -> Scalars:
        """Return the loss over the rows that have such an action, and agents that are ``there (B, T, N)``."""
        if self.net is None:
            return {}
        if self.settings.own_action == "last":
            taken, rows = one_step_earlier(segment.actions, segment.first), ~segment.first
        else:
            taken, rows = segment.actions, segment.acted
        out = self.net(x)
        if self.settings.discrete:
            loss = -(out.log_softmax(dim=-1) * taken).sum(dim=-1)
        else:
            loss = functional.mse_loss(out, taken, reduction="none").sum(dim=-1)
        counted = rows.float() / rows.sum().clamp(min=1)
        return {"loss_action": th.einsum("btn,btn,bt->", loss, there, counted)}
