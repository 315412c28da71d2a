"""Keys of Level-Based Foraging tasks: what they mean and which can be played."""

import re
from dataclasses import dataclass

from utils.errors import UserError

FORM = "Foraging[-2s]-{w}x{h}-{p}p-{f}f[-coop]-v2|v3, for example Foraging-2s-8x8-2p-2f-coop-v2"
MAX_SIDE = 128  # positions up to 127 fit into int8 observations

_KEY = re.compile(
    r"(?:lbforaging:)?(?:Foraging-)?(?P<sight>2s-)?"
    r"(?P<width>[0-9]{1,4})x(?P<height>[0-9]{1,4})-(?P<players>[0-9]{1,4})p-(?P<foods>[0-9]{1,4})f"
    r"(?P<coop>-coop)?(?:-v(?P<version>[0-9]{1,4}))?"
)


@dataclass(frozen=True)
class LBFTask:
    """A task: `width` columns, `height` rows, agents, food at the start, and three rules.

    With `short_sight` an agent sees two cells far, else the whole grid. With `coop` every food needs the
    three weakest agents (all agents if there are fewer). `version` is 2 or 3; see `envs.lbf_game`.
    """

    width: int
    height: int
    players: int
    foods: int
    short_sight: bool
    coop: bool
    version: int

    @property
    def key(self) -> str:
        """The canonical key, as EPyMARL's users write it; safe as a folder name."""
        sight = "-2s" if self.short_sight else ""
        coop = "-coop" if self.coop else ""
        size = f"{self.width}x{self.height}-{self.players}p-{self.foods}f"
        return f"Foraging{sight}-{size}{coop}-v{self.version}"


def parse_key(key: str) -> LBFTask:
    """Read a key, with or without `lbforaging:` and `Foraging-`; raise `UserError` if it names no task."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise UserError(f"LBF key {key!r} is not of the form {FORM}")
    if match["version"] not in ("2", "3"):
        raise UserError(f"LBF key {key!r} must end with -v2 or -v3; the form is {FORM}")
    width, height, players, foods, version = (
        int(match[name]) for name in ("width", "height", "players", "foods", "version")
    )
    task = LBFTask(width, height, players, foods, bool(match["sight"]), bool(match["coop"]), version)
    complaint = _complaint(task)
    if complaint:
        raise UserError(f"LBF key {key!r}: {complaint}; the form is {FORM}")
    return task


def _complaint(task: LBFTask) -> str:
    """Say why the task cannot be played; empty if it can.

    The library places players and food by trial and error and gives up silently after 1000 tries. On half
    the cells every player finds a place. Food stays off the border; on a crowded grid some of it may find no
    place, and the episode has less (the library registers such tasks, 5x5 with three food for one).
    """
    width, height = task.width, task.height
    if not (3 <= width <= MAX_SIDE and 3 <= height <= MAX_SIDE):
        return f"a grid needs sides from 3 to {MAX_SIDE} cells"
    if task.players < 1 or task.foods < 1:
        return "a task needs at least one player and one food"
    if task.players > width * height // 2:
        return f"{task.players} players crowd a {width}x{height} grid: it takes {width * height // 2}"
    room = (width - 2) * (height - 2)
    if task.foods > room:
        return f"{task.foods} food do not fit on a {width}x{height} grid: off the border there are {room} cells"
    return ""
