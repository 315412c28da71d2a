"""Figures that say how good a world model is, and whether embeddings live, as free functions.

Letters: R rows (see `EpisodeRows`, packed, so that every row counts), N agents, A actions, H hidden size, E embedding
size, D latent size of the team. R_j are the rows that are j steps into their episode or later.
"""

from typing import NamedTuple

import torch as th
from torch import Tensor

from components.episode_rows import EpisodeRows
from modules.world_model import Imagined, WorldModel

ACTIVE_VARIANCE = 0.01  # Burda et al., «Importance Weighted Autoencoders» (2016), §5


class Errors(NamedTuple):
    """Mean squared errors of three predictors of what is j steps ahead, each (R_j,).

    `model`; `keep`, which says that nothing changes; `mean`, which always says the mean of all rows.
    """

    model: Tensor
    keep: Tensor
    mean: Tensor


def open_loop(model: WorldModel, rows: EpisodeRows, s: Tensor, actions: Tensor, horizon: int) -> list[Imagined]:
    """Imagine from every row under the actions that were really taken.

    Args:
        model: the world model; its means are taken, nothing is drawn.
        rows: the batch.
        s: ``ŝ_t (R, D)``, latents of the posterior.
        actions: (R, N), the actions taken.
        horizon: how many steps to go, as far as episodes reach.

    Returns:
        For j = 1, 2, …: what was imagined j steps before for the rows R_j.
    """
    imagined: list[Imagined] = []
    for j in range(min(horizon, len(rows.sizes) - 1)):
        imagined.append(model.step(rows.now(s, after=j), rows.now(actions, after=j), draw=False))
        s, actions = imagined[-1].s, rows.then(actions, after=j)
    return imagined


def prediction_errors(rows: EpisodeRows, predicted: list[Tensor], real: Tensor) -> list[Errors]:
    """Return the errors of `predicted`, (R_j, …) for j = 1, 2, …, against ``real (R, …)``, beside naive ones."""
    mean, errors = real.mean(dim=0), []
    for j, (prediction, kept) in enumerate(zip(predicted, kept_from(rows, real, len(predicted)), strict=True)):
        real = rows.then(real, after=j)
        errors.append(Errors(*(_mse(guess, real) for guess in (prediction, kept, mean))))
    return errors


def _mse(guess: Tensor, real: Tensor) -> Tensor:
    return (guess - real).square().flatten(1).mean(dim=1)


def kept_from(rows: EpisodeRows, x: Tensor, horizon: int) -> list[Tensor]:
    """Return, for j = 1, 2, …, what ``x (R, …)`` was j steps before: (R_j, …)."""
    kept = []
    for j in range(horizon):
        x = rows.now(x, after=j)
        kept.append(x)
    return kept


def spread(z: Tensor) -> Tensor:
    """Return the mean over dimensions of the standard deviation over rows of ``z (R, E)``: 0 when it has collapsed."""
    return z.std(dim=0, unbiased=False).mean()


def effective_rank(z: Tensor) -> Tensor:
    """Return the effective rank of ``z (R, E)`` about its mean (Roy and Vetterli, 2007): between 1 and E.

    ``exp(-Σ p_k ln p_k)`` with ``p`` the singular values over their sum; 0 when all rows are the same, NaN with a NaN.
    """
    if not z.isfinite().all():
        return z.new_tensor(th.nan)
    centred = (z - z.mean(dim=0)).double()
    singular = th.linalg.eigvalsh(centred.t() @ centred).clamp(min=0).sqrt()
    p = singular / singular.sum().clamp(min=th.finfo(th.double).tiny)
    return th.where(singular.sum() > 0, th.special.entr(p).sum().exp(), 0.0)


def active_units(mean: Tensor) -> Tensor:
    """Return how many latents of ``mean (R, D)``, the posterior's means, vary with the data by more than 0.01."""
    return (mean.var(dim=0, unbiased=False) > ACTIVE_VARIANCE).sum()


def moved_share(q_tot: Tensor, changed: Tensor) -> Tensor:
    """Return the root mean square of a change of ``Q_tot (R,)`` over the standard deviation of Q_tot."""
    return (q_tot - changed).square().mean().sqrt() / q_tot.std(unbiased=False).clamp(min=1e-8)


def gaussian_like(x: Tensor) -> Tensor:
    """Return noise with the mean and spread of every component of ``x (R, …)``: always the same noise.

    It has a generator of its own: to look at a run must not change what it draws next.
    """
    noise = th.randn(x.shape, generator=th.Generator().manual_seed(0)).to(x.device)
    return x.mean(dim=0) + x.std(dim=0, unbiased=False) * noise
