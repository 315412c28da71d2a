"""Figures of a benchmark as JSON that carries its machine's name: what `report.py` makes docs/performance.md of."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "measurements" / "figures"  # of all machines: <machine>.<benchmark>.json


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}
    kind = f" family {told.get('cpu family', '?')} model {told.get('model', '?')}" if "cpu family" in told else ""
    return told.get("model name", platform.machine()) + kind


def machine() -> dict[str, Any]:
    """Return what there is of the machine to know: a `name` of it, and what it measures with."""
    import torch as th  # which who only reads figures does without

    gpu = th.cuda.get_device_name(0) if th.cuda.is_available() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "name": f"{gpu or processor()}, {cores} cores",
        "processor": processor(),
        "cores": cores,
        "gpu": gpu,
        "torch": th.__version__,
        "cuda": th.version.cuda,
        "python": platform.python_version(),
        "commit": commit or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }


def record(path: Path, benchmark: str, figures: Mapping[str, Any]) -> None:
    """Write a benchmark's figures, with the machine and the command that made them."""
    said = {"benchmark": benchmark, "machine": machine(), "command": " ".join(["python", *sys.argv])} | dict(figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=1) + "\n")
