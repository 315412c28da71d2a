"""The settings' declarations as JSON Schema (draft 2020-12): for editors, search spaces and other people's tools.

Schema and parser give one verdict on values as JSON and YAML have them (`tests/test_json_schema.py`). What a schema
cannot say it leaves to the parser: which texts are JSON objects (`arguments`), and which rare letters are unprintable.
Texts in the place of numbers, as a command line gives them, are not for a schema.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from settings.schema import LARGEST_FLOAT, LARGEST_INT, SMALLEST_FLOAT, Setting, Value

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PRINTED = r"[^\u0000-\u001f\u007f-\u009f]+$"
_TEXT = rf"^(?! *(null|None)? *$){_PRINTED}"
_TEXT_OR_NULL = rf"^(?! *$){_PRINTED}"  # the words null and None stand for null
_OBJECT = r"^ *\{.*\} *$"


def settings_schema(declared: Mapping[str, Setting], values: Mapping[str, Value], title: str) -> dict[str, Any]:
    """Return the schema of an object that may give any of the settings; groups are objects in it.

    `values` stand in it as defaults.
    """
    root = {"$schema": DIALECT, "title": title, **_group()}
    for key, setting in declared.items():
        _put(root, key, setting_schema(setting) | _default(values[key]))
    return root


def setting_schema(setting: Setting) -> dict[str, Any]:
    """Return the schema of one setting's values."""
    said = {"description": f"{setting.meaning} ({setting.file}:{setting.line})"}
    form: dict[str, Any]
    match setting.kind:
        case "bool":
            form = {"type": "boolean"}
        case "choice":
            form = {"type": "string", "enum": list(setting.choices)}
        case "str":
            form = {"type": "string", "pattern": _TEXT_OR_NULL if setting.nullable else _TEXT}
        case "arguments":
            form = {"type": "string", "pattern": _OBJECT, "contentMediaType": "application/json"}
        case _:
            form = {"type": "integer" if setting.kind == "int" else "number", **_bounds(setting)}
    if setting.nullable:
        form["type"] = [form["type"], "null"]
        if "enum" in form:
            form["enum"] += ["null", "None", None]
    if setting.other is not None:
        form = {"anyOf": [form, {"const": setting.other}]}
    return said | form


def files_schema(declared: Mapping[str, Sequence[Setting]], title: str) -> dict[str, Any]:
    """Return the schema of settings files themselves, for editors: whatever one of them declares may stand in each.

    `declared` has, by dotted key, every declaration of it; where files declare one differently, any of them holds. No
    lines are in it: it stays the same where a declaration moves.
    """
    root = {"$schema": DIALECT, "title": title, **_group()}
    for key, settings in declared.items():
        _put(root, key, any_declared(settings))
    root["properties"]["base"] = {"type": "string", "description": "the algorithm that this one is based on"}
    return root


def any_declared(settings: Sequence[Setting]) -> dict[str, Any]:
    """Return the schema of what any of a setting's declarations takes."""
    forms: list[dict[str, Any]] = []
    for setting in settings:
        form = setting_schema(setting) | {"description": f"{setting.meaning} ({setting.file})"}
        forms += [form] * (form not in forms)
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _put(root: dict[str, Any], key: str, form: dict[str, Any]) -> None:
    """Put a setting's schema where its dotted key says."""
    *groups, last = key.split(".")
    for group in groups:
        root = root["properties"].setdefault(group, _group())
    root["properties"][last] = form


def _group() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _default(value: Value) -> dict[str, Any]:
    """Return a default, but for infinity, which JSON has not."""
    return {} if isinstance(value, float) and not math.isfinite(value) else {"default": value}


def _bounds(setting: Setting) -> dict[str, float]:
    """Return the keywords of an interval; where it has no end, those of the numbers that the parser reads."""
    interval = setting.range
    assert interval is not None, setting.key
    found: dict[str, float] = {}
    sides = (("inimum", interval.low, interval.text[0] == "["), ("aximum", interval.high, interval.text[-1] == "]"))
    for name, end, closed in sides:
        sign = -1 if name == "inimum" else 1
        short, long = ("m" + name, f"exclusiveM{name}")
        if math.isfinite(end):
            found[short if closed else long] = int(end) if float(end).is_integer() else end
        if setting.kind == "int" and not abs(end) < LARGEST_INT:
            found[long] = sign * LARGEST_INT
        elif not math.isfinite(end) and not closed:
            found[short] = sign * LARGEST_FLOAT
        elif setting.kind == "float" and end == 0 and not closed:
            found[short] = -sign * SMALLEST_FLOAT
            del found[long]
    return found
