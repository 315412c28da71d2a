"""Where figures go: the sacred archive, TensorBoard, the terminal."""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

Sink = Callable[[str, float, int], None]


class Logger:
    """Passes every figure `(name, value, t_env)` to its sinks and keeps all of them, as the archive does.

    `history` maps names to their `values`, `steps` and `timestamps`.
    """

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.history: dict[str, dict[str, list[Any]]] = {}

    @property
    def latest(self) -> dict[str, float]:
        """The latest figure of each name."""
        return {key: series["values"][-1] for key, series in self.history.items()}

    def log_stat(self, key: str, value: float, t: int) -> None:
        """Log one figure at `t` environment steps."""
        series = self.history.setdefault(key, {"values": [], "steps": [], "timestamps": []})
        series["values"].append(float(value))
        series["steps"].append(t)
        series["timestamps"].append(datetime.now(UTC).replace(tzinfo=None).isoformat())
        for sink in self.sinks:
            sink(key, float(value), t)


class Console:
    """A progress bar on a terminal, plain lines elsewhere. Lines go to stdout, the bar to stderr."""

    def __init__(self, t_start: int, t_max: int, label: str) -> None:
        self.bar = (
            tqdm(total=t_max, initial=t_start, unit="step", desc=label, dynamic_ncols=True, file=sys.__stderr__)
            if sys.__stderr__ is not None and sys.__stderr__.isatty()
            else None
        )

    def say(self, line: str) -> None:
        """Print one line without tearing the bar."""
        tqdm.write(line)

    def advance(self, t_env: int, shares: Mapping[str, float], last_test: float | None) -> None:
        """Move the bar to `t_env` and show where the time goes and the last test return."""
        if self.bar is None:
            return
        test = "-" if last_test is None else f"{last_test:.3f}"
        self.bar.set_postfix_str(f"test return {test}, {describe_shares(shares)}", refresh=False)
        self.bar.update(t_env - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()


def describe_shares(shares: Mapping[str, float]) -> str:
    """Return `env 41% act 22% learn 35%` from shares in [0, 1] by phase."""
    return " ".join(f"{phase} {shares.get(phase, 0.0):.0%}" for phase in ("env", "act", "learn"))


def append_rows(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Append rows to a CSV file, with its header when it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        writer.writerows(rows)
