"""How many CPU cores there are for this process."""

import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores_here(cgroups: Path = CGROUPS) -> int:
    """Return the cores that this process may run on, or how many a control group's quota amounts to, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        most, of = (cgroups / "cpu.max").read_text().split()
        cores = min(cores, round(int(most) / int(of)))
    with suppress(OSError, ValueError):  # version 1, where -1 is no quota
        quota, period = (int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        cores = min(cores, round(quota / period)) if quota > 0 else cores
    return max(1, cores)
