"""CIA (Liu et al., AAAI 2023): QMIX whose credits tell the agents apart.

An agent's temporal credits are ``∂Q_tot/∂Q_i`` along an episode. ``L_CIA`` is the InfoNCE bound on what they share with
the agent's identity: ``-log exp(c_i · e_i) / Σ_j exp(c_i · e_j)``, from log N where all credits are alike down to 0.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor
from torch.nn import functional

from components.episode_rows import EpisodeRows
from learners.learner import Scalars
from learners.value_learner import ValueLearner
from modules.identity import IdentityContrast


def identity_loss(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return L_CIA of ``logits (B, N, N)``, a mean over episodes and agents, and how often the right one fits best."""
    right = th.arange(logits.shape[-1], device=logits.device).expand(logits.shape[:-1])
    loss = functional.cross_entropy(logits.flatten(0, 1), right.flatten())
    return loss, (logits.argmax(dim=-1) == right).float().mean()


class CIALearner(ValueLearner):
    """Reads from `args` besides: `cia_coef` (α), `cia_embed_dim`."""

    MIXES = ("qmix",)
    READS_LATER = (*ValueLearner.READS_LATER, "cia_coef")

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.contrast = IdentityContrast(args.n_agents, args.cia_embed_dim).to(mac.device)
        super().__init__(mac, scheme, logger, args, extra={"contrast": self.contrast})

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return ``L_TD`` and ``α L_CIA``."""
        q_taken, q, target_q = self.agent_values(rows)
        loss, metrics = self.td(rows, q_taken, q, target_q)
        identity, right = identity_loss(self.identity_logits(rows, q_taken))
        return {"loss_td": loss, "loss_cia": self.args.cia_coef * identity}, {**metrics, "identities_right": right}

    def identity_logits(self, rows: EpisodeRows, q_taken: Tensor) -> Tensor:
        """Return the logits (B, N, N) of every episode's whole sequence of credits."""
        credits = self.mixer.credits(rows.now(q_taken), rows.now(rows["state"]))
        encoded = rows.spread_pairs(self.contrast(credits, rows.sizes[1:]))  # (B, T, N, E)
        last = rows.batch["filled"][:, 1:].sum(dim=(1, 2)) - 1
        return self.contrast.logits(encoded[th.arange(len(encoded), device=encoded.device), last])
