"""Locks of folders: with the kernel's, and by heartbeats where a file system has none."""

import errno
import fcntl
import os
import socket
import time

import pytest

from utils import locks
from utils.errors import PassingError, UserError


@pytest.fixture
def no_locks(monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fails)


def test_who_holds_a_folder_is_told_and_it_is_free_afterwards(tmp_path):
    with locks.holding(tmp_path) as said:
        assert said == "" and locks.is_held(tmp_path)
        with pytest.raises(PassingError, match=f"process {os.getpid()} on"), locks.holding(tmp_path):
            pass
    assert not locks.is_held(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot write there"), locks.holding(tmp_path / ("x" * 300)):
        pass


def test_without_locks_a_heartbeat_is_one(tmp_path, no_locks, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locks.holding(tmp_path) as said:
        assert "a file system without locks" in said and locks.is_held(tmp_path)
        os.utime(tmp_path / locks.RUN_LOCK, (0, 0))
        time.sleep(0.1)
        assert locks.is_held(tmp_path)
        with pytest.raises(PassingError), locks.holding(tmp_path):
            pass
    assert not locks.is_held(tmp_path)


@pytest.mark.parametrize(("host", "age", "held"), [("elsewhere", 5, True), ("elsewhere", 90, False), (None, 5, False)])
def test_a_heartbeat_that_stopped_a_minute_ago_is_nobodys(host, age, held, tmp_path, no_locks):
    (tmp_path / locks.RUN_LOCK).write_text(f"{2**22 + 1} {host or socket.gethostname()}\n")  # no such process here
    now = time.time()
    os.utime(tmp_path / locks.RUN_LOCK, (now - age, now - age))
    assert locks.is_held(tmp_path) is held
