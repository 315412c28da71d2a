"""Archives of PyMARL, PyMARL2, EPyMARL and forks of them, brought into the form of ours. Nothing in them is run.

PyMARL2 keeps figures in `info.json` alone: a list by name, its steps by the name with `_T`, numbers of NumPy as objects
that hold a `value`, and tensors as a recipe for unpickling, which is left alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

KNOWN_BY = ("agent_output_type", "buffer_cpu_only")  # settings that all of them have, and this project never had
STEPS = "_T"
RETURN, OF_EACH = "test_return_mean", "test_total_return_mean"  # EPyMARL's name where agents have rewards of their own
# Settings of theirs that change no figure and that ours does not declare; `env_args.seed` repeats the seed.
NO_FIGURES = {
    "buffer_cpu_only", "hypergroup", "label", "load_step", "render", "repeat_id", "runner_log_interval", "use_cuda",
    "use_wandb", "wandb_mode", "wandb_project", "wandb_save_model", "wandb_team",
}  # fmt: skip
UNKNOWN = (
    "the environment's version", "on which seeds its evaluation episodes were played",
    "whether a policy's actions were drawn in them", "whether a time limit counts as an end", "its updates",
)  # fmt: skip


def framework(config: Mapping[str, Any]) -> str:
    """Return whose archive a `config.json` is of, by the settings it has; nothing where it is one of ours."""
    if not all(key in config for key in KNOWN_BY):
        return ""
    if "hidden_dim" in config:
        return "EPyMARL"
    return "PyMARL2" if "run" in config else "PyMARL"


def config_as_ours(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without the seed that EPyMARL repeats among the environment's."""
    env_args = config.get("env_args")
    inner = {k: v for k, v in env_args.items() if k != "seed"} if isinstance(env_args, dict) else env_args
    return {**config, "env_args": inner}


def metrics_as_ours(
    metrics: Mapping[str, Any], info: Mapping[str, Any], is_series: Callable[[Any], bool]
) -> dict[str, Any]:
    """Return every figure that can be read, from `metrics.json` or else from `info.json`, which tells no times."""
    found = {name: series for name, series in metrics.items() if is_series(series)}
    for name in info:
        series = None if name in found else _from_lists(info[name], info.get(name + STEPS))
        if series is not None and is_series(series):
            found[name] = series
    return ({RETURN: found[OF_EACH]} if OF_EACH in found else {}) | found


def info_as_ours(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what sacred says of the code: the commit, where it found a repository."""
    experiment = status.get("experiment")
    repositories = experiment.get("repositories") if isinstance(experiment, dict) else None
    first = repositories[0] if isinstance(repositories, list) and repositories else None
    commit = first.get("commit") if isinstance(first, dict) else None
    return {"commit": str(commit)} if commit else {}


def task_of(config: Mapping[str, Any]) -> str:
    """Return the task's label: the map, or the key without its package, as ours name them."""
    env_args = config.get("env_args")
    told = env_args if isinstance(env_args, dict) else {}
    return str(told.get("map_name") or str(told.get("key") or "").rpartition(":")[2] or config.get("env"))


def unknown_of(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """Return what an archive does not tell that has to be known to compare it."""
    more = [] if info.get("commit") else ["its commit"]
    timed = all(series["timestamps"][0] for series in metrics.values())
    return [*UNKNOWN, *more, *([] if timed else ["when it was evaluated"])]


def _from_lists(values: Any, steps: Any) -> dict[str, list[Any]] | None:
    if not isinstance(values, list) or not isinstance(steps, list) or len(values) != len(steps):
        return None
    last = {step: _number(value) for step, value in zip(steps, values, strict=True) if type(step) is int}
    return {"steps": list(last), "values": list(last.values()), "timestamps": [""] * len(last)}


def _number(value: Any) -> Any:
    """Return a number that NumPy's was written as; whatever else it is, as it is."""
    return value.get("value") if isinstance(value, dict) else value
