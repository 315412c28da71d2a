"""A page of what `gpu_day.py` has measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def milliseconds(seconds: float | None) -> str:
    """Return a time for a cell."""
    return "" if seconds is None else f"{1e3 * seconds:.1f} ms"


def share(rate: float, of: float | None) -> str:
    """Return a share for a cell; nothing where the whole is not known."""
    return "" if of is None else f"{rate / of:.0%}"


def updates(day: Mapping[str, Any]) -> str:
    """Return the roofline: what share of the machine's operations and bytes a second an update reaches."""
    rates, rows = day.get("rates", {}), []
    for name, found in day.get("roofline", {}).items():
        took = found.get("kernel_seconds", found["seconds"])
        rows.append((
            name, milliseconds(found["seconds"]), milliseconds(found.get("kernel_seconds")),
            f"{found['operations'] / 1e9:.2f}", share(found["operations"] / took, rates.get("float32")),
            f"{found['bytes'] / 1e9:.2f}", share(found["bytes"] / took, rates.get("bytes")),
            f"{found['peak_bytes'] / 2**20:.0f} MiB" if "peak_bytes" in found else "",
        ))  # fmt: skip
    head = ("update", "time", "in kernels", "GFLOP", "of float32's rate", "GB moved", "of the bandwidth", "memory")
    return table(head, rows)


def runs(day: Mapping[str, Any]) -> str:
    """Return whole runs and where their time goes."""
    rows = []
    for name, found in day.get("runs", {}).items():
        if "failed" in found:
            rows.append((name, "failed", found["failed"].splitlines()[-1] if found["failed"] else "", ""))
            continue
        shares = sorted(found["shares"].items(), key=lambda item: -item[1])
        busy = "" if found["gpu_busy"] is None else f"{found['gpu_busy']:.0%}"
        split = ", ".join(f"{phase} {share:.0%}" for phase, share in shares if share >= 0.005)
        rows.append((name, f"{found['steps_per_second']:.0f}", split, busy))
    return table(("run", "steps/s, start included", "time", "GPU busy"), rows)


def scaling(day: Mapping[str, Any]) -> str:
    """Return how an update's time grows with agents."""
    sizes = sorted({int(n) for times in day.get("scaling", {}).values() for n in times})
    rows = [(alg, *(milliseconds(times.get(str(n))) for n in sizes)) for alg, times in day.get("scaling", {}).items()]
    return table(("update", *(f"{n} agents" for n in sizes)), rows)


def page(day: Mapping[str, Any]) -> str:
    """Return the whole page."""
    machine, rates = day["machine"], day.get("rates", {})
    can = ", ".join(f"{rate / 1e12:.2f} TFLOP/s in {name}" for name, rate in rates.items() if name != "bytes")
    tests = day.get("tests")
    parts = [
        f"# {machine['name']}",
        f"{machine['date']}, commit `{machine['commit']}`, Torch {machine['torch']}; `{day['command']}`"
        + (" (tiny sizes: the figures mean nothing)" if day["small"] else ""),
        f"The machine: {can}; {rates.get('bytes', 0) / 1e9:.0f} GB/s copied.",
        f"CUDA tests: {'not run' if tests is None else tests['said']}.",
        "## Updates\n\n" + updates(day),
        "«Moved» counts what every operation reads and writes, as if nothing stayed in a cache: an upper bound.",
        "## Whole runs\n\n" + runs(day),
        "## Agents, with a state of all observations in a row\n\n" + scaling(day),
    ]
    if day["left_out"]:
        parts.append("Left out, for there was no time: " + "; ".join(day["left_out"]) + ".")
    return "\n\n".join(parts) + "\n"
