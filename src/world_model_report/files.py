"""The report as files: a page, its pictures, and its numbers."""

import csv
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from utils.page import folded, table
from world_model_report.estimates import Comparison, Estimate
from world_model_report.page import Picture, make_page
from world_model_report.report import Report

# Not metrics.json: that name marks a run's folder, and `plot.py` would take the report for a run.
PAGE, ERRORS, NUMBERS = "index.html", "errors.csv", "report.json"
BANDS = "Bands: 95%, by bootstrap over episodes."
CAPTIONS = {
    "errors": (
        "How far ahead can it see?",
        "Open-loop predictions under the actions really taken, against what then came: mean squared error over that of "
        "a predictor that always says the mean of all rows, both on the same rows. Below both other lines, the model "
        f"has learnt how states move; above 1, to say the mean would be better. {BANDS}",
    ),
    "actions": (
        "Does it know what agents will do?",
        "How often the greedy action in the imagined hidden state is what the agent then did. The ceiling is what the "
        "real hidden state gives for the same steps: agents explored, and those who act in imagination may be the "
        f"target copies. {BANDS}",
    ),
    "latent": (
        "Latent state of the team, real and imagined",
        "First two principal components of the real latents of all episodes. Paths of an episode of median length, of "
        "the longest, and of one that is longer than a quarter of them, imagined under the actions really taken.",
    ),
    "hidden": (
        "Hidden state of each agent, real and imagined",
        "The same for the hidden states, decoded from imagined latents; components are each agent's own.",
    ),
    "episode": (
        "One episode, step by step",
        "The episode of median length, whose paths are drawn above. First what an agent did; below it, what the model, "
        "1, 2 and 3 steps before, imagined that it would do, greedily, after the actions really taken until then. "
        "Columns are environment steps; of a long episode the first 100 are shown.",
    ),
}
FILES = (PAGE, ERRORS, NUMBERS, *(f"{name}.png" for name in CAPTIONS))


def write_files(folder: Path, report: Report) -> None:
    """Write all of `FILES` into a folder."""
    pictures = {name: _png(report, name) for name in CAPTIONS}
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
        [Picture(png, *CAPTIONS[name]) for name, png in pngs.items()],
        {
            "What training logs, on these episodes (docs/mmsa.md says what each figure means)": metrics,
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
