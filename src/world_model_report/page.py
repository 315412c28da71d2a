"""The page that holds everything: one HTML file, pictures inside, nothing fetched from anywhere."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from utils.page import document, table


class Picture(NamedTuple):
    """A picture as PNG, the heading above it and what it shows."""

    png: bytes
    heading: str
    caption: str


def make_page(
    title: str,
    facts: Mapping[str, Any],
    answer: Iterable[str],
    pictures: Sequence[Picture],
    tables: Mapping[str, str],
) -> str:
    """Return the page; everything but `tables`, which `table` made, is text and is escaped here."""
    answers = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in answer)
    shown = "\n".join(map(_figure, pictures))
    tabled = "\n".join(f"<h2>{escape(heading)}</h2>\n{content}" for heading, content in tables.items())
    return document(title, f'<div class="answer">\n{answers}\n</div>\n{table(facts.items())}\n{shown}\n{tabled}')


def _figure(picture: Picture) -> str:
    inside = b64encode(picture.png).decode("ascii")
    return (
        f'<h2>{escape(picture.heading)}</h2>\n<figure>\n<img alt="{escape(picture.heading)}" '
        f'src="data:image/png;base64,{inside}">\n<figcaption>{escape(picture.caption)}</figcaption>\n</figure>'
    )
