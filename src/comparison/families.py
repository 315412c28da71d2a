"""Which kind of method a line is of, and which of many lines a picture puts forward.

A run tells it by its settings: a world model makes it model-based; actions drawn from policies make it a policy's.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from comparison.archives import CONFIG_DIR
from comparison.pooling import Group, Line
from comparison.scores import scores
from settings import resolve
from utils.errors import UserError

FAMILIES = ("model-based", "value", "policy", "other")  # in the order in which a report has them
DREAMS, POLICIES = ("dream_learner",), ("policy_learner", "coma_learner")
MANY = 7  # lines, as there are colours, that a picture shows alike
FORWARD = 5  # of more: those that stand out before anybody has clicked


def family_of(line: Line) -> str:
    """Return the family of a line, by the settings of its first run."""
    run = line.members[0].run
    if run.framework:
        return "policy" if run.config.get("agent_output_type") == "pi_logits" else "value"
    told = {key: run.config.get(key, _declared(run.algorithm, key)) for key in ("learner", "use_world_model")}
    if told["learner"] in DREAMS or told["use_world_model"] is True:
        return "model-based"
    if told["learner"] in POLICIES:
        return "policy"
    return "other" if told["learner"] is None else "value"


@cache
def _declared(algorithm: str, key: str) -> Any:
    """Return what an algorithm's config says, for archives that do not; None where there is no such config."""
    try:
        return resolve(algorithm, "lbf", {}, CONFIG_DIR).get(key)
    except UserError:
        return None


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Return lines by family, as they were within one."""
    return sorted(lines, key=lambda line: FAMILIES.index(family_of(line)))


def forward(group: Group) -> frozenset[str]:
    """Return the labels of the lines that stand out: all, or of many those with the highest mean over training."""
    if len(group.lines) <= MANY:
        return frozenset(line.label for line in group.lines)
    means = {line.label: float(scores(line, group.metric)["area"].mean()) for line in group.lines}
    return frozenset(best_of(means))


def best_of(values: Mapping[str, float]) -> Sequence[str]:
    """Return the names of the `FORWARD` highest values."""
    return sorted(values, key=lambda name: (-values[name], name))[:FORWARD]
