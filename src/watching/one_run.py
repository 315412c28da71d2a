"""What the page shows of the one run that is looked at: time, world model, log, the latest film."""

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from settings import all_declared, as_text, flat
from utils.movie import MP4
from utils.naming import SRC
from watching.beneath import by_steps, last_lines
from watching.runs import Seen

CONFIG_DIR = SRC / "config"
LINES = 30  # of the log
WIDEST = 200  # letters of a value
TIME = "time_"
# Figures of world models, by how their names begin; docs/figures.md and docs/dreams.md say what each means.
WORLD = (
    "wm_", "loss_kl", "loss_rec", "loss_sale", "loss_obs", "loss_reward", "kl", "rank_z", "spread_z", "rollout_use_",
    "imagined_", "greedy_action_match", "reconstruction_error", "reward_where", "goes_on_", "dream_", "real_return",
    "posterior_entropy", "prior_entropy",
)  # fmt: skip
PICTURE = re.compile(r"[a-z0-9_-]{1,60}\.png")


def detail(root: Path, run: Seen) -> dict[str, Any]:
    """Return everything that is shown of a run."""
    film, pictures = film_of(root, run.folder), pictures_of(root, run.folder)
    return {
        "id": run.id, "folder": str(run.folder), "damaged": list(run.damaged),
        "facts": {"commit": ", then ".join(commit[:12] for commit in run.archived.commits),
                  "machine": run.archived.machine or "not told"},
        "time": [_line(run, name, name.removeprefix(TIME)) for name in sorted(run.curves) if name.startswith(TIME)],
        "world": [{"title": title, "curves": [_line(run, name, name) for name in names]}
                  for title, names in grouped(name for name in sorted(run.curves) if name.startswith(WORLD))],
        "settings": settings_of(run.archived.config),
        "log": last_lines(root, run.folder / "cout.txt", LINES),
        "film": film and {"t": film[0], "changed": film[1].lstat().st_mtime_ns},
        "pictures": pictures and {"t": pictures[0], "names": [path.name for path in pictures[1]]},
    }  # fmt: skip


def settings_of(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return an archive's settings: name, value, and what a declaration says that it means, "" where none does."""
    known = _meanings()
    return [{"name": name, "value": as_text(value)[:WIDEST], "meaning": known.get(name, "")}
            for name, value in sorted(flat(config).items())]  # fmt: skip


@cache
def _meanings() -> dict[str, str]:
    """Return the meaning of every setting; one that several files declare has those of all, in their order."""
    return {key: "; or ".join(dict.fromkeys(setting.meaning for setting in found))
            for key, found in all_declared(CONFIG_DIR).items()}  # fmt: skip


def _line(run: Seen, name: str, told: str) -> dict[str, Any]:
    curve = run.curves[name]
    return {"name": told, "x": curve.steps, "y": curve.values}


def grouped(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return names that differ in a number at their end together, by what they begin with."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"_\d+$", "", name), []).append(name)
    return [(title, sorted(mine, key=lambda name: (len(name), name))) for title, mine in groups.items()]


def film_of(root: Path, folder: Path) -> tuple[int, Path] | None:
    """Return the latest film of a run, with the steps of its checkpoint."""
    films = ((t, place / MP4) for t, place in by_steps(root, folder / "recordings"))
    return next((film for film in films if film[1].is_file() and not film[1].is_symlink()), None)


def pictures_of(root: Path, folder: Path) -> tuple[int, list[Path]] | None:
    """Return the pictures of the latest report on a run's world model, with the steps of its checkpoint."""
    for t, place in by_steps(root, folder / "world_model"):
        names = sorted(entry.name for entry in os.scandir(place) if entry.is_file(follow_symlinks=False))
        found = [place / name for name in names if PICTURE.fullmatch(name)]
        if found:
            return t, found
    return None
