"""The report as files: a page, its pictures, and its numbers."""

import csv
import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from utils.page import folded, table
from world_model_report.estimates import Comparison, Estimate
from world_model_report.page import Picture, make_page
from world_model_report.report import CAPTIONS, Report

# Not metrics.json: that name marks a run's folder, and `plot.py` would take the report for a run.
PAGE, ERRORS, NUMBERS = "index.html", "errors.csv", "report.json"


def files_of(captions: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all that is written, given the pictures' names."""
    return PAGE, ERRORS, NUMBERS, *(f"{name}.png" for name in captions)


FILES = files_of(CAPTIONS)


def write_files(folder: Path, report: Report) -> None:
    """Write the page, the numbers and the pictures of a report into a folder, see `files_of`."""
    pictures = {name: _png(report, name) for name in report.captions}
    for name, png in pictures.items():
        (folder / f"{name}.png").write_bytes(png)
    (folder / PAGE).write_text(_page(report, pictures), encoding="utf-8")
    (folder / NUMBERS).write_text(json.dumps(_numbers(report), indent=1, allow_nan=False) + "\n")
    with (folder / ERRORS).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Estimate._fields)
        writer.writerows(map(_without_nan, report.estimates))


def _png(report: Report, name: str) -> bytes:
    buffer = BytesIO()
    report.figures[name].savefig(buffer, format="png")
    return buffer.getvalue()


def _page(report: Report, pngs: Mapping[str, bytes]) -> str:
    metrics = table(report.metrics.items(), ("figure", "value"))
    errors = table(report.estimates, Estimate._fields)
    settings = table(sorted(report.settings.items()))
    return make_page(
        report.title,
        report.facts,
        report.answer,
        [Picture(png, *report.captions[name]) for name, png in pngs.items()],
        {
            "Figures, on these episodes (docs/figures.md and docs/dreams.md say what each means)": metrics,
            "Every number of the pictures above": folded(f"as in {ERRORS}", errors),
            "Settings of the run": folded("as in its config.json", settings),
        },
    )


def _numbers(report: Report) -> dict[str, Any]:
    return {
        "facts": report.facts,
        "answer": report.answer,
        "comparisons": [_comparison(comparison) for comparison in report.comparisons],
        "metrics": dict(zip(report.metrics, _without_nan(report.metrics.values()), strict=True)),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    ratio = dict(zip(comparison.ratio._fields, _without_nan(comparison.ratio), strict=True))
    return {"what": comparison.what, "naive": comparison.naive, "horizon": comparison.horizon,
            "verdict": comparison.verdict, "error_ratio": ratio}  # fmt: skip


def _without_nan(values: Any) -> list[Any]:
    """Return values with None, an empty cell in CSV, where there is no number."""
    return [None if isinstance(value, float) and not np.isfinite(value) else value for value in values]
