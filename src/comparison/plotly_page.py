"""A page with plotly's pictures: its script is on the page, so that nothing is fetched from anywhere."""

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from utils.page import document

CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False, "scrollZoom": False}
STYLE = """
body { max-width: 96rem; } figcaption, .note { color: #555; max-width: 60rem; } figure { margin: 1rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
.plot { min-width: 0; } h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; overflow-wrap: anywhere; }
td, th { vertical-align: top; } .wide td { overflow-wrap: normal; }
"""
FIT = "document.querySelectorAll('.js-plotly-plot').forEach(plot => Plotly.Plots.resize(plot));"


def plot(figure: go.Figure) -> str:
    """Return a picture as HTML, for such a page alone."""
    return f'<div class="plot">{figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG)}</div>'


def plotly_page(title: str, body: str, style: str = "", script: str = "") -> str:
    """Return the page. Plots are fitted once more at its end, when all have found their places."""
    head = f"<style>{STYLE}{style}</style>\n<script>{get_plotlyjs()}</script>\n"
    return document(title, f"{body}\n<script>{FIT}\n{script}</script>", head)
