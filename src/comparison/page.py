"""The page: everything on one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from comparison.charts import Chart
from comparison.page_drawing import CHOOSING, draw
from comparison.plotly_page import plotly_page
from comparison.scores import SCORES
from comparison.tables import Table
from utils.page import folded, table

STYLE = """
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(34rem, 100%), 1fr)); gap: 2rem; }
.pairs > figure { min-width: 0; } .forced { color: #B00020; font-weight: 600; }
.answer p, .answer + .wide td { overflow-wrap: anywhere; }
"""
METHODS = {
    **{f"score «{name}»": what for name, what in SCORES.items()},
    "intervals of scores and curves": "Student's 95% interval of the mean over seeds, or the quartiles where a "
    "protocol asks for the median; nothing is clipped, nothing is smoothed unless --smooth says so",
    "a verdict": "is given on means with five seeds or more on each side whose 95% intervals do not overlap; it is not "
    "corrected for the number of pairs",
    "all tasks together": "rliable 1.2.0 (Agarwal et al., 2021), on scores normalised as the table says; lines that "
    "not all tasks have are left out; where tasks differ in seeds, each gives as many as the one with the fewest",
    "updates": "counted from the settings and the episodes played, which are logged from time to time",
}


@dataclass(frozen=True)
class Section:
    """Charts and tables under a heading."""

    heading: str
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    notes: Iterable[str] = ()


def make_page(title: str, answer: Iterable[str], facts: Mapping[str, Any], sections: Iterable[Section]) -> str:
    """Return the page."""
    answers = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in answer)
    methods = folded("What the words and numbers mean", table(METHODS.items()))
    body = "\n".join(map(_section, sections))
    top = f'<div class="answer">\n{answers}\n</div>\n{table(facts.items())}\n{methods}'
    return plotly_page(title, f"{top}\n{body}", STYLE, CHOOSING)


def _section(section: Section) -> str:
    notes = "\n".join(f'<p class="note">{escape(note)}</p>' for note in section.notes)
    charts = "\n".join(map(draw, section.charts))
    if section.charts and all(len(chart.panels) == 1 for chart in section.charts):
        charts = f'<div class="pairs">\n{charts}\n</div>'
    tables = "\n".join(map(_table, section.tables))
    return f"<section>\n<h2>{escape(section.heading)}</h2>\n{notes}\n{charts}\n{tables}\n</section>"


def _table(shown: Table) -> str:
    notes = "".join(f'<p class="note">{escape(note)}.</p>\n' for note in shown.notes)
    return f"<h3>{escape(shown.heading)}</h3>\n{notes}{_html(shown.shown)}"


def _html(frame: pd.DataFrame) -> str:
    return table(frame.itertuples(index=False, name=None), list(frame.columns))
