"""sacred's archive as ours: whole files, in a folder that is held, also that of a run which goes on."""

import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver

from utils.errors import PassingError, RunFailedError, UserError, may_pass
from utils.files import unwritable, write_whole
from utils.locks import holding
from utils.stopping import Stopped, StopRequest

PATIENCE = 50.0  # times what writing the figures took is waited until they are written again


class ArchiveObserver(FileStorageObserver):
    """sacred's archive, whose files appear whole or not at all, and which can go on in a folder that is there.

    What cannot be written once the run has begun is remembered as its `failure`, and told to `stop` in training: sacred
    would go on without its archive. All figures are one file, which grows: it is written less often the longer that
    takes, and when the run ends.
    """

    def __init__(self, root: Path, folder: Path | None) -> None:
        super().__init__(str(root), copy_sources=False)  # of which there would be this file alone; the commit says all
        self.folder = folder
        self.failure: RunFailedError | None = None
        self.stop: StopRequest | None = None
        self.held = ExitStack()
        self.said = ""
        self._figures: dict[str, dict[str, list[Any]]] = {}  # that are not written yet
        self._not_before = 0.0

    def begin(self, settings: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Make or take up the folder, and write the settings and what is said of the code.

        A new folder is held until `held` is closed; `said` is what there is to tell of that. Raises `UserError`, or
        `PassingError`, and leaves nothing new, where it cannot be written; for a folder that is taken up, which it was
        possible to write to, a `RunFailedError`.
        """
        new = self.folder is None
        try:
            if new:
                super()._make_run_dir(None)
                self.folder = Path(self.dir)
                self.said = self.held.enter_context(holding(self.folder))
            self.dir = str(self.folder)
            self._save(settings, self.folder / "config.json")
            self._save(info, self.folder / "info.json")
        except (OSError, UserError, PassingError) as why:
            self.held.close()
            if new and self.folder is not None:
                shutil.rmtree(self.folder)
            if not isinstance(why, OSError):
                raise
            if not new:
                raise unwritable(self.folder, why) from why
            raise no_place(f"{self.folder or self.basedir}", why) from why

    def _make_run_dir(self, _id: str | None) -> None:
        self.dir = str(self.folder)

    def _save(self, obj: object, path: Path) -> None:
        write_whole(path, lambda partial: FileStorageObserver.save_json(self, obj, partial.name))

    def save_json(self, obj: object, filename: str) -> None:
        """Write one of the archive's JSON files."""
        path = Path(self.dir) / filename
        with self._told(path):
            self._save(obj, path)

    def log_metrics(self, metrics_by_name: Mapping[str, Mapping[str, list[Any]]], info: object) -> None:
        """Take new figures, and write all when it is time; sacred calls this every ten seconds."""
        for name, series in metrics_by_name.items():
            held = self._figures.setdefault(name, {"values": [], "steps": [], "timestamps": []})
            for part, more in held.items():
                more += series[part]
        if time.monotonic() >= self._not_before:
            self._write_figures()

    def _write_figures(self) -> None:
        if self._figures or not Path(self.dir, "metrics.json").exists():
            start = time.monotonic()
            super().log_metrics(self._figures, None)  # which reads the file, and writes it anew
            self._figures, end = {}, time.monotonic()
            self._not_before = end + PATIENCE * (end - start)

    def completed_event(self, stop_time: Any, result: Any) -> None:
        """Write what is left, and that the run is done."""
        self._write_figures()
        super().completed_event(stop_time, result)

    def interrupted_event(self, interrupt_time: Any, status: str) -> None:
        """Write what is left, and that the run was stopped."""
        self._write_figures()
        super().interrupted_event(interrupt_time, status)

    def failed_event(self, fail_time: Any, fail_trace: Any) -> None:
        """Write what is left, and that the run has failed."""
        self._write_figures()
        super().failed_event(fail_time, fail_trace)

    def save_cout(self) -> None:
        """Do nothing: `printed_to` writes what is printed."""

    def failed(self, path: Path, why: OSError) -> None:
        """Remember, and tell, that a file of the archive cannot be written."""
        self.failure = unwritable(path, why)
        if self.stop is not None:
            self.stop.failure = self.failure

    def unread(self) -> None:
        """Ask training to save and end, where nobody reads any more what is printed; where there is none, end."""
        if self.stop is None:
            raise Stopped(signal.SIGPIPE)
        self.stop(signal.SIGPIPE, None)

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as why:
            self.failed(path, why)


def no_place(where: str, why: OSError) -> UserError | PassingError:
    """Return the error of a run that cannot begin because it cannot write."""
    return (PassingError if may_pass(why) else UserError)(f"{where}: cannot write there ({why.strerror})")
