"""Being asked to stop: by Ctrl-C, by a terminal that is closed, or by a cluster that wants its machine back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from utils.errors import RunFailedError

ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)  # the last two: Slurm's --signal
INSISTS = (signal.SIGINT, signal.SIGTERM)  # twice one of these ends at once; a hangup comes twice by itself
SAID = b"stopping: saves, then ends; once more ends at once, without saving\n"


class Stopped(KeyboardInterrupt):
    """The run ended because it was asked to; `signum` says by which signal, `at_once` whether it was asked twice."""

    def __init__(self, signum: int, at_once: bool = False) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum, self.at_once = signum, at_once


class StopRequest:
    """Remembers the first signal that asks to stop, or a failure, so that the run can end at a place of its choice."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.failure: RunFailedError | None = None  # what the run must end with; another thread may say so
        self._insisting = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal; the second one that insists stops at once."""
        if signum == signal.SIGHUP:
            _leave_the_terminal()
        insists = signum in INSISTS
        if insists and self._insisting:
            raise Stopped(signum, at_once=True)
        self._insisting |= insists
        if self.signum is None:
            self.signum = signum
            with suppress(OSError):
                os.write(2, SAID)  # `print` cannot be interrupted by itself

    def check(self) -> None:
        """Raise the failure that the run must end with, or `Stopped` if a stop was asked for."""
        if self.failure is not None:
            raise self.failure
        if self.signum is not None:
            raise Stopped(self.signum)


def _leave_the_terminal() -> None:
    """Let what is printed from now on go nowhere, where it went to a terminal that is closed: writing would fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if os.isatty(descriptor) or _is_hung_up(descriptor):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_hung_up(descriptor: int) -> bool:
    return os.readlink(f"/proc/self/fd/{descriptor}").startswith(("/dev/pts/", "/dev/tty"))


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Take the signals that ask to stop as requests within the block; under `nohup` a hangup does not ask."""
    request = StopRequest()
    heard = [s for s in ASKS if s != signal.SIGHUP or signal.getsignal(s) is not signal.SIG_IGN]
    before = {signum: signal.signal(signum, request) for signum in heard}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
