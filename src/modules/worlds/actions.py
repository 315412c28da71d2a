"""Actions as world models read them."""

from typing import Any

import torch as th
from torch import Tensor
from torch.nn import functional


def encode_actions(actions: Tensor, space: Any, n_actions: int) -> Tensor:
    """Return actions (…, P) as networks read them: one-hots (…, W), part after part, or for numbers (…, C) their size.

    Numbers come in units of half an action's range about its middle, as `modules.actors.heads.GaussianHead` says them.
    """
    match space.kind:
        case "discrete":
            return functional.one_hot(actions.squeeze(-1), n_actions).float()
        case "multidiscrete":
            parts = zip(actions.unbind(dim=-1), space.sizes, strict=True)
            return th.cat([functional.one_hot(part, size) for part, size in parts], dim=-1).float()
    low, high = (th.as_tensor(bound, dtype=actions.dtype, device=actions.device) for bound in (space.low, space.high))
    bounded = low.isfinite() & high.isfinite()
    half_range = th.where(bounded, (high - low) / 2, 1.0).clamp(min=1e-6)
    return (actions - th.where(bounded, (low + high) / 2, 0.0)) / half_range
