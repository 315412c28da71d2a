"""`scripts/try_hosts.py` with a host that never ends, and with what is not there."""

import subprocess
import sys

import pytest
import try_hosts
from processes import group, wait_until

HANGS = "import subprocess\nsubprocess.run(['sleep', '600'])\n"


def test_a_step_that_takes_too_long_is_named_and_ends_with_what_it_started(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text(HANGS)
    started = []

    class Process(subprocess.Popen):
        def communicate(self, *given, **named):
            started.append(self.pid)
            wait_until(lambda: len(group(self.pid)) == 2)
            return super().communicate(*given, **named)

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(try_hosts, "MINUTES", 0.001)
    with pytest.raises(try_hosts.FailedStepError, match=r"^QMIX before: took more than 0\.001 minutes$"):
        try_hosts._trained("QMIX before", tmp_path, sys.executable, "qmix")
    wait_until(lambda: not group(*started))


def test_what_is_not_there_is_one_line(tmp_path, capsys):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text("")
    for host, interpreter, says in (
        (tmp_path / "nowhere", sys.executable, "holds no src/main.py"),
        (tmp_path, tmp_path / "nowhere", "no program"),
    ):
        assert try_hosts.main(["--host", "a host", str(host), "--python", str(interpreter)]) == 2
        out, err = capsys.readouterr()
        assert says in err and err.count("\n") == 1 and not out


def test_an_interpreter_may_be_named_from_here_and_stays_the_virtual_environment_s(tmp_path, monkeypatch):
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert try_hosts._absolute("./python") == str(tmp_path / "python")
