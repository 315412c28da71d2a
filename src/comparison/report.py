"""The report put together, and written: page, figures, tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from comparison.aggregates import aggregate
from comparison.archives import ArchivedRun
from comparison.charts import Chart
from comparison.equal_tables import equal_tables
from comparison.families import in_order
from comparison.group_charts import curves, score_chart
from comparison.layout_table import layout_table
from comparison.overall_charts import overall_charts
from comparison.page import Section, make_page
from comparison.paper_tables import average_table, paper_table
from comparison.pooling import Group, Pool
from comparison.print_drawing import write_chart
from comparison.ranges import range_of
from comparison.tables import Table, aggregate_table, notes_on, run_table, score_table, settings_table, verdict_table
from comparison.words import answer
from utils.errors import UserError

PAGE = "index.html"
TITLE = "Comparison of runs"


def write_report(
    folder: Path,
    runs: Sequence[ArchivedRun],
    pool: Pool,
    facts: Mapping[str, Any],
    given: Mapping[str, tuple[float, float]],
    now: datetime,
) -> list[str]:
    """Write everything into a folder and return the names of the files; `given` ranges are by task."""
    if unknown := set(given) - {group.task for group in pool.groups}:
        raise UserError(f"--range {min(unknown)}: no such task here")
    sections = _sections(runs, pool, given, now)
    names = [PAGE]
    for section in sections:
        for chart in section.charts:
            names += write_chart(chart, folder)
        for table in section.tables:
            names += table.write(folder)
    (folder / PAGE).write_text(make_page(TITLE, answer(pool, len(runs)), facts, sections), encoding="utf-8")
    return names


def _sections(
    runs: Sequence[ArchivedRun], pool: Pool, given: Mapping[str, tuple[float, float]], now: datetime
) -> list[Section]:
    groups = [replace(group, lines=tuple(in_order(group.lines))) for group in pool.groups]
    sections = [Section(group.title, _group_charts(group, place)) for place, group in enumerate(groups)]
    tables = [score_table(groups), verdict_table(groups), *equal_tables(groups), settings_table(groups)]
    sections.append(Section("Scores", tables=[table for table in tables if table is not None]))
    sections.append(_overall(groups, given))
    sections.append(Section("For a paper", tables=[layout_table(groups)]))
    paper = [table for table in (paper_table(groups), average_table(groups)) if table is not None]
    if paper:
        sections.append(Section("Beside the papers", tables=paper))
    runs_table: list[Table] = [run_table(runs, pool, now)]
    sections.append(Section("Runs", tables=runs_table, notes=pool.notes))
    return sections


def _group_charts(group: Group, place: int) -> list[Chart]:
    name = f"{place + 1}-{re.sub(r'[^A-Za-z0-9]+', '-', group.title).strip('-')[:60]}"
    return [curves(group, f"{name}-curves"), score_chart(group, f"{name}-scores")]


def _overall(groups: Sequence[Group], given: Mapping[str, tuple[float, float]]) -> Section:
    ranges = {group.title: range_of(group, given) for group in groups}
    found = aggregate(groups, ranges)
    heading = "All tasks together"
    if found is None:
        return Section(heading, notes=["No line is in all tasks, so there is nothing to take together."])
    styles = {line.label: line.style for group in groups for line in group.lines}
    missing = sorted({line.label for group in groups for line in group.lines if not line.framework} - found.iqm.keys())
    foreign = sorted({line.label for group in groups for line in group.lines if line.framework})
    notes = [f"Not in all tasks, and so left out here: {', '.join(missing)}."] if missing else []
    notes += [f"Of another framework, and so left out here: {', '.join(foreign)}."] if foreign else []
    charts = overall_charts(found, styles, notes_on(groups))
    return Section(heading, charts, [aggregate_table(found, ranges, groups)], notes)
