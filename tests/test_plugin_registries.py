"""What the plugin asks of a host and leaves in it: registries that load nothing, whose host it is, which Python."""

import subprocess
import sys
from pathlib import Path

import install_plugin
import pytest
from plugin_hosts import REGISTRIES, miniature, python
from tiny_runs import files

from plugin.hosts import LINES
from plugin.interpreter import described
from utils.errors import UserError

BOTH = {REGISTRIES[0]: "rnn_ns", REGISTRIES[1]: "non_shared_mac"}  # what EPyMARL has, in a PyMARL2


@pytest.fixture
def pymarl2(tmp_path):
    return miniature("pymarl2", tmp_path / "host")


def install(root, *options):
    return install_plugin.main([str(root), *options])


def test_the_host_s_methods_run_whatever_becomes_of_ours(pymarl2):
    assert install(pymarl2) == 0
    (pymarl2 / "src/mmsa/__init__.py").write_text("raise ImportError('src/mmsa needs another Python')\n")
    loaded = "; ".join(f"from {room} import REGISTRY as {name}" for room, name in ROOMS.items())
    python(pymarl2 / "src", "-c", f"{loaded}; import sys; assert 'mmsa' not in sys.modules; AGENTS['rnn']")
    with pytest.raises(AssertionError, match="needs another Python"):
        python(pymarl2 / "src", "-c", f"{loaded}; LEARNERS['mmsa_learner'](1, 2, 3, 4)")


ROOMS = {"modules.agents": "AGENTS", "controllers": "CONTROLLERS", "learners": "LEARNERS"}


def test_the_lines_of_the_first_versions_are_replaced(pymarl2, capsys):
    before = files(pymarl2)
    for path, line in LINES.items():
        with (pymarl2 / path).open("ab") as registry:
            registry.write(line.former + b"\n")
    assert install(pymarl2) == 0
    for path, line in LINES.items():
        lines = (pymarl2 / path).read_bytes().splitlines()
        assert line.former not in lines and lines.count(line.text) == 1
    assert install(pymarl2, "--uninstall") == 0
    assert files(pymarl2) == before


def test_a_fork_with_both_hosts_entries_is_asked_whose_it_is(pymarl2, capsys):
    for path, name in BOTH.items():
        with (pymarl2 / path).open("a") as registry:
            registry.write(f'\nREGISTRY["{name}"] = object\n')
    before = files(pymarl2)
    assert install(pymarl2) == 2
    err = capsys.readouterr().err
    assert "entries of both" in err and "--host PyMARL2 or --host EPyMARL" in err and err.count("\n") == 1
    assert files(pymarl2) == before
    assert install(pymarl2, "--host", "EPyMARL") == 0
    assert "hidden_dim:" in (pymarl2 / "src/config/algs/mmsa.yaml").read_text().replace("rnn_hidden_dim", "")


def test_a_host_named_wrongly_is_refused(pymarl2, capsys):
    assert install(pymarl2, "--host", "EPyMARL") == 2
    assert "its registries are those of PyMARL2" in capsys.readouterr().err
    assert install(pymarl2, "--host", "PyMARL") == 2


def stand_in(folder, says):
    """Return a Python that says what it is told to."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "refusal"),
    [
        ('["3.7.16", "1.13.1"]', "needs Python 3.8 and torch 1.12 or later, and found Python 3.7.16 with torch 1.13.1"),
        ('["3.8.18", "1.11.0+cu113"]', "found Python 3.8.18 with torch 1.11.0"),
        ('["3.11.7", null]', "Python 3.11.7 without torch"),
        ("hello", "is no Python that answers"),
    ],
)
def test_a_python_that_mmsa_does_not_run_on_is_told_before_anything_is_written(
    pymarl2, tmp_path, says, refusal, capsys
):
    before = files(pymarl2)
    assert install(pymarl2, "--python", stand_in(tmp_path, says)) == 2
    err = capsys.readouterr().err
    assert refusal in err and err.count("\n") == 1
    assert files(pymarl2) == before


def test_the_installer_says_what_it_found(pymarl2, tmp_path, capsys):
    for options, found in (
        ([], described(None)),
        (["--python", sys.executable], described(sys.executable)),
        (["--python", stand_in(tmp_path, '["3.10.1", "2.0.1+cpu"]')], "Python 3.10.1 with torch 2.0.1+cpu"),
    ):
        assert install(pymarl2, "--dry-run", *options) == 0
        assert capsys.readouterr().out.startswith(f"PyMARL2 in {pymarl2}; {found}\n")
    with pytest.raises(UserError, match="no Python that answers"):
        described(str(tmp_path / "nowhere"))


def test_a_python_without_torch_is_not_taken_for_the_host_s(monkeypatch):
    def missing(name):
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("plugin.interpreter.version", missing)
    assert "without torch: if the host runs on another, --python says what that has" in described(None)


@pytest.mark.parametrize("script", ["install_plugin.py", "mend_host.py"])
def test_python_3_7_is_told_in_one_line(pymarl2, script):
    found = sorted((Path.home() / ".pyenv/versions").glob("3.7.*/bin/python"))
    if not found:
        pytest.skip("no Python 3.7 under ~/.pyenv/versions")
    command = [str(found[0]), install_plugin.__file__.replace("install_plugin.py", script), str(pymarl2)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    assert "3.8 or later" in run.stderr and "nothing was changed" in run.stderr
