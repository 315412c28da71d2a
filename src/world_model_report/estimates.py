"""The numbers of the report: errors and matches against the horizon, and how the model compares with naive ones."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from learners.diagnostics import Errors
from world_model_report.bands import Band, mean_band, ratio_band
from world_model_report.lookahead import Lookahead

NAIVE = ("keep", "mean")
WHAT = {"latent": "latent state of the team", "hidden": "hidden states of the agents"}


class Estimate(NamedTuple):
    """A line of `errors.csv`: the mean of a quantity of one predictor, `horizon` steps ahead, with its band.

    Quantities: `latent_error` and `hidden_error`, mean squared; `latent_share` and `hidden_share`, the same over the
    error of the predictor `mean`; `action_match`.
    """

    horizon: int
    quantity: str
    predictor: str
    mean: float
    low: float
    high: float
    rows: int


class Comparison(NamedTuple):
    """The model's error over a naive predictor's on the same rows: below 1, the model is better."""

    what: str
    naive: str
    horizon: int
    ratio: Band

    @property
    def verdict(self) -> str:
        """Say in a word or two how the model compares; only a band that leaves 1 out decides."""
        if np.isnan(self.ratio.low) or np.isnan(self.ratio.high):
            return "cannot be told"
        return "better" if self.ratio.high < 1 else "worse" if self.ratio.low > 1 else "no clear difference"


def estimates(look: Lookahead) -> list[Estimate]:
    """Return every number against the horizon."""
    return [*_error_estimates(look), *_match_estimates(look)]


def errors_at(look: Lookahead, what: str, j: int) -> dict[str, np.ndarray]:
    """Return the errors (R_j,) of the predictors, j steps ahead; `what` is `latent` or `hidden`."""
    errors: Errors = getattr(look.foresight, what)[j - 1]
    return {predictor: error.numpy() for predictor, error in errors._asdict().items()}


def _error_estimates(look: Lookahead) -> Iterator[Estimate]:
    for what in WHAT:
        for j in range(1, look.horizon + 1):
            errors, episodes = errors_at(look, what, j), look.episodes_from(j)
            for predictor, error in errors.items():
                yield Estimate(j, f"{what}_error", predictor, *mean_band(error, episodes))
                yield Estimate(j, f"{what}_share", predictor, *ratio_band(error, errors["mean"], episodes))


def _match_estimates(look: Lookahead) -> Iterator[Estimate]:
    for j, matches in enumerate(look.matches(), start=1):
        episodes = look.acting_episodes_from(j)
        for predictor, match in matches._asdict().items():
            yield Estimate(j, "action_match", predictor, *mean_band(match.numpy(), episodes))


def compare(look: Lookahead, horizon: int) -> list[Comparison]:
    """Compare the model with both naive predictors at one horizon, or at the longest that episodes reach."""
    j = min(max(horizon, 1), look.horizon)
    comparisons = []
    for what in WHAT:
        errors = errors_at(look, what, j)
        comparisons += [
            Comparison(what, naive, j, ratio_band(errors["model"], errors[naive], look.episodes_from(j)))
            for naive in NAIVE
        ]
    return comparisons


def line(found: Iterable[Estimate], quantity: str, predictor: str) -> np.ndarray:
    """Return horizon, mean, low and high of one predictor, (4, horizons)."""
    picked = [e for e in found if (e.quantity, e.predictor) == (quantity, predictor)]
    return np.array([(e.horizon, e.mean, e.low, e.high) for e in picked]).reshape(-1, 4).T
