"""The short answer at the top of the page: computed, in plain words."""

from collections.abc import Mapping, Sequence

import numpy as np

from world_model_report.estimates import WHAT, Comparison

SAYS = {
    "better": "is better than",
    "worse": "is worse than",
    "no clear difference": "is not clearly better or worse than",
    "cannot be told": "cannot be compared (too few episodes, or nothing varies) with",
}
NAMES = {"keep": "«nothing changes»", "mean": "«always the mean»"}


def answer(comparisons: Sequence[Comparison], rollout_horizon: int, metrics: Mapping[str, float]) -> list[str]:
    """Return sentences: how the model's errors compare at the run's horizon, and whether Q_tot needs the rollout."""
    return [_where(comparisons[0].horizon, rollout_horizon), *_errors(comparisons), _use(metrics)]


def _where(horizon: int, rollout_horizon: int) -> str:
    steps = "1 step" if horizon == 1 else f"{horizon} steps"
    if horizon == rollout_horizon:
        return f"{steps} ahead, the rollout horizon J of this run, under the actions really taken:"
    return f"{steps} ahead (the rollout horizon J of this run is {rollout_horizon}), under the actions really taken:"


def _errors(comparisons: Sequence[Comparison]) -> list[str]:
    sentences = []
    for what, meaning in WHAT.items():
        mine = [c for c in comparisons if c.what == what]
        verdicts = {c.verdict for c in mine}
        parts = [f"{'' if len(verdicts) == 1 else SAYS[c.verdict] + ' '}{NAMES[c.naive]}{_times(c)}" for c in mine]
        if len(verdicts) == 1:
            both = f"{SAYS[verdicts.pop()]} both naive predictors: "
            sentences.append(f"For the {meaning} the model {both}{' and '.join(parts)}.")
        else:
            sentences.append(f"For the {meaning} the model {' and '.join(parts)}.")
    return sentences


def _times(comparison: Comparison) -> str:
    mean, low, high, _ = comparison.ratio
    band = f", 95% band {_number(low)} to {_number(high)}" if np.isfinite(low + high) else ""
    return f" (error {_number(mean)} times as large{band})"


def _use(metrics: Mapping[str, float]) -> str:
    zeros, noise, other = (_number(metrics[f"rollout_use_{name}"]) for name in ("zeros", "noise", "other"))
    return (
        f"Without the rollout (zeros in its place), Q_tot moves by {zeros} of its standard deviations; with noise "
        f"there by {noise}, with another row's rollout by {other}. 0 would mean that the mixer ignores it."
    )


def _number(x: float) -> str:
    return f"{x:.2f}" if abs(x) < 100 else f"{x:.3g}"
