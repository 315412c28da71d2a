"""The command line: `python src/main.py --config=mmsa --env-config=lbf with seed=1`.

Imports at the top stay light: worker processes import this file again, and a mistyped setting is answered at once.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import secrets
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from settings import (
    find_run,
    parse_command_line,
    refuse_absent,
    resolve,
    resume_options,
    resumed_settings,
    settings_from,
)
from utils.errors import UserError
from utils.exits import exit_code
from utils.locks import holding
from utils.memory import keep_freed_memory

CONFIG_DIR = Path(__file__).parent / "config"


def main(argv: Sequence[str]) -> int:
    """Run one training or evaluation, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "what was logged and saved until now stays in the archive")


def _work(argv: Sequence[str]) -> None:
    command = parse_command_line(argv, CONFIG_DIR)
    if command.verb == "resume":
        options, changes = resume_options(command.updates, CONFIG_DIR)
        folder = find_run(command.run, changes, CONFIG_DIR)
        with holding(folder) as said:
            try:
                settings = resumed_settings(folder, changes, CONFIG_DIR)
            except UserError as why:
                refuse_absent(folder, why.__cause__)
                raise
            _train(settings, True, folder, options, said)
        return
    if command.verb is not None:
        settings = settings_from(command.verb, command.run, command.updates, CONFIG_DIR)
    else:
        settings = resolve(command.config, command.env_config, command.updates, CONFIG_DIR)
    if settings["seed"] is None:
        settings["seed"] = secrets.randbelow(2**32)
    _train(settings, command.verb is not None)


def _train(
    settings: Mapping[str, Any],
    archived: bool,
    resumed: Path | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    said: str = "",
) -> None:
    """Train or evaluate, by settings that are `archived` or given; a run that is `resumed` goes on in its folder."""
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred's to mend, not the user's
    from envs import check_archived, trust_named
    from training.archive import record  # brings Torch and sacred, which take seconds
    from training.assembly import build
    from training.going_on import go_on

    keep_freed_memory()
    if archived:
        check_archived(settings["env"], settings["env_args"])
    run = build(settings) if resumed is None else go_on(resumed, settings, **options)
    if not archived:
        trust_named(settings["env"], settings["env_args"])
    settings = {**settings, "threads": run.args.threads}  # which may have been chosen just now
    run.notes += [said] if said else []
    try:
        record(run, settings, resumed)
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
