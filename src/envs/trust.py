"""Whose code may run because an archive names it: that of known suites, and what this user has trusted.

The list is the user's own, outside this repository: `trusted.txt` below `mmsa-pymarl` in `$XDG_CONFIG_HOME` (or
`~/.config`), a line for each package, with the place that it was found at. Who names a package on a command line or in
a study of theirs trusts it there; the same name at another place is another package.
"""

import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path


def trusted_file() -> Path:
    """Return where the list is."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "mmsa-pymarl" / "trusted.txt"


def place_of(package: str) -> str | None:
    """Return the file or folder that importing a package would run, without running it; None where there is none."""
    spec = PathFinder.find_spec(package, [*sys.path, str(Path.cwd())])
    if spec is None:
        return None
    found = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return None if found is None else str(Path(found).resolve())


def trust(package: str) -> str | None:
    """Put a package on the list, as it is found now; return its place, None where it is not found or not listed."""
    place = place_of(package)
    if place is None or is_trusted(package):
        return place
    path = trusted_file()
    with suppress(OSError):  # a home that cannot be written: it has to be named again
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{package}\t{place}\n")
        return place
    return None


def is_trusted(package: str) -> bool:
    """Say whether the list has a package at the place where it is found now."""
    return place_of(package) in _places(package)


def trusted_folders(package: str) -> list[str]:
    """Return the folders from which a package that the list has can be imported; what is gone is left out."""
    found = [Path(place) for place in _places(package)]
    return [str((path.parent if path.name == "__init__.py" else path).parent) for path in found if path.exists()]


def _places(package: str) -> list[str]:
    try:
        lines = trusted_file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line.partition("\t")[2] for line in lines if line.startswith(f"{package}\t")]
