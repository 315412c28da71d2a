"""The command line: `python src/main.py --config=mmsa --env-config=lbf with seed=1`.

Imports at the top stay light: worker processes import this file again, and a mistyped setting is answered at once.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import sys
from collections.abc import Sequence
from pathlib import Path

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
            from training.start import work  # brings Torch and sacred, which take seconds

            work(settings, True, folder, options, said)
        return
    if command.verb is not None:
        settings = settings_from(command.verb, command.run, command.updates, CONFIG_DIR)
    else:
        settings = resolve(command.config, command.env_config, command.updates, CONFIG_DIR)
    from training.start import work

    work(settings, command.verb is not None, given=command.updates)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
