"""What the installer does where it may not write or read: with real rights, flags and mounts, where there are any."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import install_plugin
import mend_host
import pytest
from plugin_hosts import REGISTRIES, REPOSITORY, miniature
from tiny_runs import files

from plugin.changes import apply
from plugin.plans import SETTINGS

NOBODY = 65534
ROOT = os.geteuid() == 0
LEARNERS = "src/learners"


@pytest.fixture
def host():
    """A host in a folder that everybody may enter, and that belongs to the one who installs."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = miniature("pymarl2", Path(folder) / "host")
        for path in [root, *root.rglob("*")]:
            os.chown(path, NOBODY if ROOT else -1, -1)
        yield root


@pytest.fixture
def somebody(monkeypatch):
    """Let the files be changed by somebody without root's rights."""

    def applied(changes, folder):
        if ROOT:
            os.seteuid(NOBODY)
        try:
            apply(changes, folder)
        finally:
            if ROOT:
                os.seteuid(0)

    monkeypatch.setattr(install_plugin, "apply", applied)
    monkeypatch.setattr(mend_host, "apply", applied)


@contextmanager
def read_only(root):
    (root / LEARNERS).chmod(0o555)
    yield
    (root / LEARNERS).chmod(0o755)


@contextmanager
def immutable(root):
    done_by(["chattr", "+i", root / REGISTRIES[2]])
    yield
    subprocess.run(["chattr", "-i", root / REGISTRIES[2]], check=True)


@contextmanager
def mounted(root):
    done_by(["mount", "--bind", root / REGISTRIES[2], root / REGISTRIES[2]])
    yield
    subprocess.run(["umount", root / REGISTRIES[2]], check=True)


def done_by(command):
    if not ROOT or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip(f"{command[0]} does not work here")


def refused(root, says, capsys, *options):
    before = files(root)
    capsys.readouterr()
    assert install_plugin.main([str(root), *options]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert files(root) == before
    return err


@pytest.mark.parametrize("obstacle", [read_only, immutable, mounted])
@pytest.mark.parametrize("options", [[], ["--uninstall"]], ids=["install", "uninstall"])
def test_one_file_that_may_not_be_written_leaves_all_as_they_were(host, somebody, options, obstacle, capsys):
    if options:
        assert install_plugin.main([str(host)]) == 0
    folders = {path for path in host.rglob("*") if path.is_dir()}
    with obstacle(host):
        said = refused(host, REGISTRIES[2], capsys, *options)
        assert said.endswith("; nothing was changed\n")
        assert {path for path in host.rglob("*") if path.is_dir()} == folders
    assert install_plugin.main([str(host), *options]) == 0


def test_a_folder_without_the_right_to_write_changes_nothing(host, somebody, capsys):
    (host / "src").chmod(0o555)
    refused(host, "Permission denied; nothing was changed", capsys)
    (host / "src").chmod(0o755)


def test_what_cannot_be_taken_back_is_named_and_the_next_run_mends_it(host, monkeypatch, capsys):
    before, real, calls = files(host), os.replace, []

    def broken(source, target):
        calls.append(target)
        if len(calls) in (5, 6):  # one that was to be written, and in Path.unlink's place, one that was to go again
            raise OSError(5, "Input/output error", str(source))
        real(source, target)

    monkeypatch.setattr("plugin.changes.os.replace", broken)
    monkeypatch.setattr(Path, "unlink", lambda path, **_: broken(path, path))
    assert install_plugin.main([str(host)]) == 2
    monkeypatch.undo()
    err = capsys.readouterr().err
    left = [path for path in host.rglob("*") if path.is_file() and path.relative_to(host) not in before]
    assert "Input/output error; could not be taken back: " in err and err.count("\n") == 1
    assert [str(path) for path in left if str(path) in err] and "run it again" in err
    assert install_plugin.main([str(host)]) == 0
    assert install_plugin.main([str(host), "--uninstall"]) == 0
    assert files(host) == before


def test_what_may_not_be_read_is_one_line(host, capsys):
    (host / SETTINGS).mkdir(parents=True)
    refused(host, "Is a directory; nothing was changed", capsys)
    (host / SETTINGS).rmdir()
    (host / REGISTRIES[0]).unlink()
    (host / REGISTRIES[0]).mkdir()
    refused(host, "Is a directory", capsys)


@pytest.mark.parametrize("script", ["install_plugin", "mend_host"])
def test_who_stops_listening_gets_no_traceback(host, script):
    command = f"{sys.executable} {REPOSITORY}/scripts/{script}.py {host} | true; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.returncode == 0 and "Traceback" not in run.stderr and run.stderr.count("\n") <= 1
    if script == "install_plugin":
        assert (host / SETTINGS).exists()
    shutil.rmtree(host / "src/mmsa", ignore_errors=True)
