"""How a benchmark answers a mistake: in one line, with the exit codes of all commands."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import utils.packages_here  # noqa: F401  ends with one line where there are none
from utils.errors import UserError
from utils.exits import exit_code


def command(work: Callable[[], None]) -> None:
    """Do a benchmark's work and leave the program."""

    def told() -> None:
        try:
            work()
        except (FileNotFoundError, NotADirectoryError, PermissionError) as why:
            raise UserError(f"{why.filename}: {why.strerror}") from why

    sys.exit(exit_code(told, "what was measured until now is printed above"))
