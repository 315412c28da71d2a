"""Settings that hold arguments of somebody else's constructor: `env_args.kwargs.N=5`, kept as one text of JSON.

Such a setting is declared as `# arguments: meaning`. Its value is a JSON object with sorted keys, and each key below it
sets one entry, nested ones too: `env_args.kwargs.map.size=[8, 8]`.
"""

import ast
import json
from collections.abc import Iterable
from typing import Any

NOT_ONE = "what JSON can hold: numbers, texts, true, false, null, lists and objects of these"


def read_object(text: str) -> str | None:
    """Return a JSON object (or Python's way to write one) in the one form that is kept; None where it is not one."""
    value = _read(text)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else None


def with_argument(held: str, key: str, text: str) -> str | None:
    """Return a kept object with one more entry, whose dotted `key` may lead through objects; None where it cannot be.

    A text is read as JSON or as a Python literal, and else as it stands: `5`, `[1, 2]`, `true`, `None`, `north`, `"5"`.
    """
    whole = json.loads(held)
    *groups, last = key.split(".")
    inner = whole
    for group in groups:
        inner = inner.setdefault(group, {})
        if not isinstance(inner, dict):
            return None
    inner[last] = _read(text)
    return json.dumps(whole, sort_keys=True)


def owner_of(key: str, holders: Iterable[str]) -> str | None:
    """Return the setting below which a dotted key lies."""
    return next((holder for holder in holders if key.startswith(f"{holder}.") and key != f"{holder}."), None)


def _read(text: str) -> Any:
    for reader in (_json, ast.literal_eval):
        try:
            return json.loads(json.dumps(reader(text), allow_nan=False))  # a tuple becomes a list
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _json(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)
