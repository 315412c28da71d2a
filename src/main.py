"""The command line: `python src/main.py --config=mmsa --env-config=lbf with seed=1`.

Imports at the top stay light: worker processes import this file again, and a mistyped setting is answered at once.
"""

import secrets
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from utils.command_line import parse_command_line
from utils.config import resolve
from utils.errors import RunFailedError, UserError
from utils.memory import keep_freed_memory

CONFIG_DIR = Path(__file__).parent / "config"


def main(argv: Sequence[str]) -> int:
    """Run one training or evaluation and return the exit code: 0 done, 1 failed, 2 the user's mistake, 130 Ctrl-C."""
    try:
        command = parse_command_line(argv, CONFIG_DIR)
        settings = resolve(command.config, command.env_config, command.updates, CONFIG_DIR)
        if settings["seed"] is None:
            settings["seed"] = secrets.randbelow(2**32)
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred's to mend, not the user's
        from archive import record  # brings Torch and sacred, which take seconds
        from run import build

        keep_freed_memory()
        run = build(settings)
        try:
            record(run, settings)
        finally:
            run.close()
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    except RunFailedError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was logged and saved until now stays in the archive", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
