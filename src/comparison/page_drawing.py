"""Charts drawn with plotly, for the page: one plot per panel, so that narrow screens show them below each other."""

import json
import textwrap
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from comparison.charts import Chart, Dot, Panel, Stroke
from comparison.line_styles import DASHES
from comparison.plotly_page import plot

SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
           "X": "x", "*": "star", "<": "triangle-left", ">": "triangle-right"}  # fmt: skip
MARKERS = 8  # markers along a line
GREY, UNSEEN, WIDTH = "#BDBDBD", "rgba(0,0,0,0)", 2  # of lines that stand back; of nothing; of a line, in pixels
CURVE_HEIGHT, ROW_HEIGHT, LINE_HEIGHT, LEGEND_ROW = 340, 32, 15, 22  # pixels
LABEL_WIDTH, LEGEND_WIDTH = 22, 34  # letters in a line, so that there is room for it on a narrow screen
NOTHING = "the archives do not tell"
BACK = json.dumps({"colour": GREY, "band": UNSEEN, "width": 1, "forward": WIDTH})
CHOOSING = f"const BACK = {BACK};\n{Path(__file__).with_name('choosing.js').read_text(encoding='utf-8')}"


def draw(chart: Chart) -> str:
    """Return a chart as HTML that needs plotly's script on the page."""
    plots = "\n".join(plot(_figure(panel)) for panel in chart.panels)
    notes = "".join(f'<p class="forced">{escape(note)}</p>' for note in chart.notes)
    return (
        f'<figure id="{escape(chart.name)}">\n<h3>{escape(chart.heading)}</h3>\n{notes}<div class="plots">\n{plots}\n'
        f"</div>\n<figcaption>{escape(chart.caption)}</figcaption>\n</figure>"
    )


def _figure(panel: Panel) -> go.Figure:
    figure, many = go.Figure(), any(stroke.grey for stroke in panel.strokes)
    for place, stroke in enumerate(panel.strokes):
        if stroke.family and (place == 0 or panel.strokes[place - 1].family != stroke.family):
            figure.add_trace(_heading(stroke.family))
        figure.add_traces(_band_and_line(stroke))
    for row, dot in enumerate(panel.dots):
        figure.add_traces(_row(row, dot))
    labels, legend = [_wrapped(dot.label) for dot in panel.dots], _legend_height(panel)
    row_height = ROW_HEIGHT + LINE_HEIGHT * max((label.count("<br>") for label in labels), default=0)
    height = 120 + row_height * len(labels) if labels else CURVE_HEIGHT + legend
    figure.update_layout(
        template="none", height=height, hovermode="closest" if panel.dots or many else "x unified",
        font={"family": "system-ui, sans-serif", "size": 13}, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": escape(panel.title), "font": {"size": 14}, "x": 0.5}, showlegend=bool(panel.strokes),
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left",
                "font": {"size": 12}, "maxheight": legend + 20},
        margin={"l": 75, "r": 15, "t": 40 if panel.title else 15, "b": 60 + legend},
    )  # fmt: skip
    axis: dict[str, Any] = {"showgrid": True, "gridcolor": "#E5E5E5", "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis, title={"text": _wrapped(panel.x_label), "standoff": 8}, range=panel.x_range, nticks=6)
    figure.update_yaxes(**axis, title={"text": _wrapped(panel.y_label)}, range=panel.y_range)
    if labels:
        figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, range=(len(labels) - 0.4, -0.6))
    elif not panel.strokes:
        figure.add_annotation(text=NOTHING, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    if panel.mark is not None:
        figure.add_vline(panel.mark, line={"color": "#8A8A8A", "width": 1, "dash": "dot"})
    return figure


def _legend_height(panel: Panel) -> int:
    """Return the pixels of a legend whose entries stand in two columns, or below each other if one is long."""
    lines = [len(textwrap.wrap(stroke.label, LEGEND_WIDTH)) for stroke in panel.strokes]
    lines += [1] * len({stroke.family for stroke in panel.strokes if stroke.family})
    long = any(len(stroke.label) > LABEL_WIDTH for stroke in panel.strokes)
    return LEGEND_ROW * (sum(lines) if long else -(-len(lines) // 2))


def _band_and_line(stroke: Stroke) -> list[go.Scatter]:
    style, name = stroke.style, escape(stroke.label)
    colour, width = (GREY, 1) if stroke.grey else (style.colour, WIDTH)
    told = {"name": escape(stroke.name), "family": stroke.family, "grey": stroke.grey, "colour": style.colour,
            "band": _see_through(style.colour)}  # fmt: skip
    above = 0 if stroke.grey else 1
    x, y, every = stroke.x.tolist(), stroke.y.tolist(), max(1, len(stroke.x) // MARKERS)
    line = {"color": colour, "width": width, "dash": DASHES[style.line]}
    marker = {"symbol": SYMBOLS[style.marker], "size": 8, "color": colour}
    traces = []
    if np.isfinite(stroke.low).all():
        edges = [*stroke.high.tolist(), *stroke.low[::-1].tolist()]
        traces.append(go.Scatter(x=[*x, *x[::-1]], y=edges, fill="toself",
                                 fillcolor=UNSEEN if stroke.grey else told["band"], line={"width": 0}, mode="lines",
                                 hoverinfo="skip", showlegend=False, legendgroup=name, meta=told | {"is": "band"},
                                 zorder=above))  # fmt: skip
    return [
        *traces,
        go.Scatter(x=x, y=y, name=name, legendgroup=name, mode="lines", line=line, showlegend=False, meta=told,
                   zorder=above),
        go.Scatter(x=x[::every], y=y[::every], legendgroup=name, mode="markers", marker=marker, hoverinfo="skip",
                   showlegend=False, meta=told, zorder=above),
        go.Scatter(x=[None], y=[None], name=_wrapped(stroke.label, LEGEND_WIDTH), legendgroup=name,
                   mode="lines+markers", line=line, marker=marker, meta=told),
    ]  # fmt: skip


def _heading(family: str) -> go.Scatter:
    """Return an entry of the legend that is no line: what the methods below it are."""
    unseen = {"color": UNSEEN}
    return go.Scatter(x=[None], y=[None], name=f"<b>{escape(family)}</b>", mode="markers", marker=unseen,
                      legendgroup=f"family {family}", hoverinfo="skip",
                      meta={"family": family, "is": "heading"})  # fmt: skip


def _row(row: int, dot: Dot) -> list[go.Scatter]:
    style, name = dot.style, escape(dot.label)
    traces = []
    if dot.runs:
        traces.append(go.Scatter(
            x=[value if np.isfinite(value) else None for value in dot.runs], y=[row] * len(dot.runs), mode="markers",
            name=f"{name}: runs", marker={"symbol": "line-ns-open", "size": 11, "color": style.colour},
        ))  # fmt: skip
    if np.isfinite(dot.value):
        error = None
        if np.isfinite(dot.low):
            up, down = dot.high - dot.value, dot.value - dot.low
            error = {"type": "data", "symmetric": False, "array": [up], "arrayminus": [down], "color": style.colour,
                     "thickness": 2, "width": 5}  # fmt: skip
        traces.append(go.Scatter(
            x=[dot.value], y=[row], mode="markers", name=name, error_x=error,
            marker={"symbol": SYMBOLS[style.marker] + ("-open" if dot.theirs else ""), "size": 11,
                    "color": style.colour},
        ))  # fmt: skip
    return traces


def _see_through(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _wrapped(label: str, width: int = LABEL_WIDTH) -> str:
    return "<br>".join(escape(part) for part in textwrap.wrap(label, width))
