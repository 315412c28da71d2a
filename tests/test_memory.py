"""Memory that is freed is used again, without asking the system for it; where there is none, one line says so."""

import ctypes
import subprocess
import sys

import pytest
from processes import WAIT
from tiny_runs import MAIN

import main
from utils.memory import no_room

PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import torch as th
from utils.memory import keep_freed_memory
if sys.argv[2] == "keep":
    keep_freed_memory()
faults = []
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [th.ones(2**24) for _ in range(2)]
    del tensors
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults)[len(faults) // 2])
"""


HAS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


@pytest.mark.skipif(not HAS_GLIBC, reason="needs glibc")
def test_large_tensors_come_from_memory_that_was_freed():
    def faults(how):
        command = [sys.executable, "-c", PROGRAM, str(MAIN.parent), how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT).stdout)

    pages = 2 * 2**26 // 4096
    assert faults("keep") < pages / 50
    assert faults("give back") > pages / 10  # large pages, where the system gives them unasked, would need fewer


@pytest.mark.parametrize("setting", ["rnn_hidden_dim=1000000000000", "rnn_hidden_dim=900000000000000"])
def test_networks_that_fit_into_no_memory_are_answered_with_one_line(setting, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["--config=qmix", "--env-config=matrix_game", "with", setting, "t_max=1"]) == 2
    err = capsys.readouterr().err
    assert "do not fit into memory (" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_episodes_that_fit_into_no_memory_are_answered_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["--config=qmix", "--env-config=lbf", "with", "env_args.episode_limit=1000000000000", "t_max=1"]
    assert main.main(argv) == 2
    assert "do not fit into memory (" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_about_memory():
    assert no_room(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert no_room(MemoryError()) == "none left"
