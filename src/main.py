"""The command line: `python src/main.py --config=mmsa --env-config=lbf with seed=1`.

Imports at the top stay light: worker processes import this file again, and a mistyped setting is answered at once.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import secrets
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from settings import find_run, parse_command_line, resolve, resumed_settings, settings_from
from utils.exits import exit_code
from utils.memory import keep_freed_memory

CONFIG_DIR = Path(__file__).parent / "config"


def main(argv: Sequence[str]) -> int:
    """Run one training or evaluation, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "what was logged and saved until now stays in the archive")


def _work(argv: Sequence[str]) -> None:
    command = parse_command_line(argv, CONFIG_DIR)
    resumed = None
    if command.verb == "resume":
        resumed = find_run(command.run, command.updates, CONFIG_DIR)
        settings = resumed_settings(resumed, command.updates, CONFIG_DIR)
    elif command.verb is not None:
        settings = settings_from(command.verb, command.run, command.updates, CONFIG_DIR)
    else:
        settings = resolve(command.config, command.env_config, command.updates, CONFIG_DIR)
    if settings["seed"] is None:
        settings["seed"] = secrets.randbelow(2**32)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred's to mend, not the user's
    from envs import check_archived, trust_named
    from training.archive import record  # brings Torch and sacred, which take seconds
    from training.assembly import build
    from training.resuming import go_on

    keep_freed_memory()
    if command.verb is not None:
        check_archived(settings["env"], settings["env_args"])
    run = build(settings) if resumed is None else go_on(resumed, settings)
    if command.verb is None:
        trust_named(settings["env"], settings["env_args"])
    try:
        record(run, settings, resumed)
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
