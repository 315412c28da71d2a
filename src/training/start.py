"""A run from resolved settings to the end: what the command line and the library do alike."""

import secrets
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred's to mend, not the user's

from envs import check_archived, trust_named  # noqa: E402
from learners import idle  # noqa: E402
from training.archive import record  # noqa: E402
from training.assembly import build  # noqa: E402
from training.going_on import go_on  # noqa: E402
from utils.memory import keep_freed_memory  # noqa: E402


def work(
    settings: dict[str, Any],
    archived: bool,
    resumed: Path | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    said: str = "",
    given: Iterable[str] = (),
) -> Path:
    """Train or evaluate, by settings that are `archived` or given, and return the run's folder.

    A run that is `resumed` goes on in its folder, which the caller holds; `said` is a note for its log. `given`: the
    settings that somebody asked for, by name.
    """
    if settings["seed"] is None:
        settings["seed"] = secrets.randbelow(2**32)
    keep_freed_memory()
    if archived:
        check_archived(settings["env"], settings["env_args"])
    run = build(settings) if resumed is None else go_on(resumed, settings, **options)
    if not archived:
        trust_named(settings["env"], settings["env_args"])
    settings = {**settings, "threads": run.args.threads}  # which may have been chosen just now
    run.notes += [*([said] if said else []), *idle.note(run.learner, given, run.args.name)]
    try:
        return record(run, settings, resumed)
    finally:
        run.close()
