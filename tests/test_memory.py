"""Memory that is freed is used again, without asking the system for it."""

import ctypes
import subprocess
import sys

import pytest
from processes import WAIT
from tiny_runs import MAIN

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
