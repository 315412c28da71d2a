"""What a run scored.

Letters: n evaluations of a run, s runs (one per seed).
"""

from collections.abc import Mapping

import numpy as np

from comparison.pooling import Line, Member
from comparison.series import area_under

SCORES = {  # name -> what it is
    "final": "the last evaluation",
    "maximum": "the highest evaluation, which flatters: it is chosen after the fact",
    "absolute": "the checkpoint of the highest evaluation, evaluated again on new episodes",
    "area": "mean over the whole of training: the area under the curve over its length in steps",
}


def score(member: Member, name: str, metric: str) -> float:
    """Return one of `SCORES` of a run; NaN where its archive has none."""
    steps, values = member.evaluations.steps, member.evaluations.values
    if name == "final":
        return float(values[-1])
    if name == "maximum":
        return float(values.max())
    if name == "area":
        return area_under(steps, values)
    absolute = member.run.metrics.get(metric.replace("test_", "absolute_", 1))
    return float(absolute["values"][-1]) if absolute is not None and metric.startswith("test_") else np.nan


def scores(line: Line, metric: str) -> Mapping[str, np.ndarray]:
    """Return every score of a line's runs, by name, (s,) each."""
    return {name: np.array([score(member, name, metric) for member in line.members]) for name in SCORES}
