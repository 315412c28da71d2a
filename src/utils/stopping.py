"""Being asked to stop: by Ctrl-C, or by a cluster that wants its machine back."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from utils.errors import RunFailedError


class Stopped(KeyboardInterrupt):
    """The run ended because it was asked to; `signum` says by which signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StopRequest:
    """Remembers the first SIGINT or SIGTERM, or a failure, so that the run can end at a place of its choice."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.failure: RunFailedError | None = None  # what the run must end with; another thread may say so

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal; the second one stops at once."""
        if self.signum is not None:
            raise Stopped(signum)
        self.signum = signum
        print("stopping after this round; once more stops at once, without saving", file=sys.stderr)

    def check(self) -> None:
        """Raise the failure that the run must end with, or `Stopped` if a stop was asked for."""
        if self.failure is not None:
            raise self.failure
        if self.signum is not None:
            raise Stopped(self.signum)


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Take SIGINT and SIGTERM as requests within the block."""
    request = StopRequest()
    before = {signum: signal.signal(signum, request) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
