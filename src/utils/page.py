"""What the reports' pages share: one HTML file, nothing fetched from anywhere, everything from archives escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { color: #555; max-width: 60rem; }
table { border-collapse: collapse; font-size: .92rem; } th, td { text-align: left; padding: .15rem .9rem .15rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid #e5e5e5; }
.answer { background: #f3f7fa; border-left: 4px solid #0072B2; padding: .6rem 1rem; } .answer p { margin: .3rem 0; }
td { overflow-wrap: anywhere; } .wide { overflow-x: auto; } summary { cursor: pointer; }
"""


def document(title: str, body: str, head: str = "") -> str:
    """Return a whole page; `body` and `head` are HTML already."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n{head}</head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Return an HTML table; numbers stand to the right, NaN as a dash."""
    head = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>\n" if header else ""
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n{head}{body}\n</table></div>'


def folded(summary: str, content: str) -> str:
    """Return HTML that shows `content` on a click."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{content}\n</details>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{number(value)}</td>'
    return f"<td>{escape(str(value))}</td>"


def number(value: float) -> str:
    """Return a number with four digits that matter, or a dash."""
    return f"{value:.4g}" if np.isfinite(value) else "–"
