"""The charts of all tasks together."""

from collections.abc import Mapping

from comparison.aggregates import RESAMPLES, Aggregates, Curve
from comparison.charts import Chart, Dot, Panel, Stroke
from comparison.families import MANY, best_of
from comparison.group_charts import counted
from comparison.line_styles import Style

BOOTSTRAP = f"95% stratified bootstrap intervals, {RESAMPLES:,} resamples of runs within tasks"
SHARES = (-0.03, 1.03)  # an axis of shares on which marks at its ends are whole


def overall_charts(found: Aggregates, styles: Mapping[str, Style], notes: tuple[str, ...]) -> list[Chart]:
    """Return interquartile means, performance profiles, probabilities of improvement and sample efficiency."""
    over = f"{len(found.tasks)} task{'s' if len(found.tasks) > 1 else ''}"
    return [
        Chart(
            "iqm", f"Interquartile mean over {over}",
            f"Of the normalised {found.score} scores: the mean of the middle half of all runs. {BOOTSTRAP}.",
            (Panel("", "interquartile mean (normalised score)", dots=tuple(
                Dot(_counted(label, found), styles[label], *map(float, bounds)) for label, bounds in found.iqm.items()
            )),), notes,
        ),
        Chart(
            "efficiency", f"Sample efficiency over {over}",
            f"Interquartile mean of the normalised evaluations, interpolated at common steps. {BOOTSTRAP}.",
            (Panel("", "environment steps", "interquartile mean (normalised score)",
                   _strokes(found, found.efficiency, styles)),), notes,
        ),
        Chart(
            "profile", f"Performance profile over {over}",
            f"The share of runs whose normalised {found.score} score exceeds τ. {BOOTSTRAP}.",
            (Panel("", "normalised score τ", "share of runs above τ", _strokes(found, found.profiles, styles),
                   x_range=SHARES, y_range=SHARES),), notes,
        ),
        *_improvement(found, styles, over, notes),
    ]  # fmt: skip


def _improvement(
    found: Aggregates, styles: Mapping[str, Style], over: str, notes: tuple[str, ...]
) -> list[Chart]:  # fmt: skip
    if not found.improvement:
        return []
    dots = tuple(
        Dot(f"{first} > {second}", styles[first], *map(float, bounds))
        for (first, second), bounds in found.improvement.items()
    )
    panel = Panel("", "P(a run of the first scores more)", dots=dots, x_range=SHARES, mark=0.5)
    caption = (
        f"How probable it is that a run of the first algorithm scores more than one of the second on the same task, a "
        f"draw counted half; mean over tasks, {found.score} scores. {BOOTSTRAP}; one without width says that all "
        "resamples agree, as those of few runs easily do."
    )
    return [Chart("improvement", f"Probability of improvement over {over}", caption, (panel,), notes)]


def _strokes(
    found: Aggregates, curves: Mapping[str, Curve], styles: Mapping[str, Style]
) -> tuple[Stroke, ...]:  # fmt: skip
    middle = {label: bounds[0] for label, bounds in found.iqm.items()}
    bright = middle if len(curves) <= MANY else best_of(middle)
    return tuple(
        Stroke(_counted(label, found), styles[label], *curve, label, grey=label not in bright)
        for label, curve in curves.items()
    )


def _counted(label: str, found: Aggregates) -> str:
    return counted(label, found.seeds[label])
