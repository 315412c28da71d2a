"""What a setting may hold: the kinds that comments in the settings files declare, and how text is read."""

import math
import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from settings.arguments import read_object
from utils.errors import UserError

Value = int | float | bool | str | None

DECLARATION_FORM = "`# float [0, 1]: meaning`, or int, bool, str, {one, two}, each also with ` or null`, ` or auto`"
_NULLS = ("null", "None")
LARGEST_INT = 2**53  # below it every integer survives float notation (2e6) and JSON unchanged
# What networks compute with has 32 bits: an ε below is 0 there, where 0 / 0 is no number; a weight above is infinite.
SMALLEST_FLOAT, LARGEST_FLOAT = 2.0**-126, 2.0**127 * (2 - 2.0**-23)
_DIGITS = "[0-9]+(?:_[0-9]+)*"
_NUMBER = rf"[+-]?(?:\.?inf|(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)"
_DECLARATION = re.compile(
    rf"(?:(?P<number>int|float) *(?P<range>[\[(] *(?P<low>{_NUMBER}) *, *(?P<high>{_NUMBER}) *[\])])"
    r"|(?P<word>bool|str|arguments)"
    r"|\{(?P<choices>[^{}]*)\})"
    r"(?P<null> or null)?(?: or (?P<other>auto))? *: *(?P<meaning>\S.*)"
)
_TAGS = re.compile(r"(?P<meaning>.*?)(?P<tags>(?: \[[^\[\]]*\])*)")
_BEFORE = re.compile(r"since [0-9][0-9.]*: (?:before (?P<value>.+)|as (?P<other>[A-Za-z0-9_.]+))")


class Effect(Enum):
    """What another value of a setting does to a run's figures."""

    CHANGES = "changes them"
    ROUNDING = "rounds differently"  # which grows: runs part after a while
    NOTHING = "nothing"


_EFFECTS = {"no figures": Effect.NOTHING, "rounding": Effect.ROUNDING, "reading": Effect.NOTHING}


def as_text(value: object) -> str:
    """Return a setting's value as a command line gives it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(text: str) -> str:
    """Return `text` fit for a one-line message: unprintable characters escaped, long text cut."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])
    return printable if len(text) <= 200 else printable + "…"


def _to_float(text: str) -> float | None:
    if not re.fullmatch(_NUMBER, text):
        return None
    number = float(text.replace(".inf", "inf"))
    return None if math.isinf(number) and "inf" not in text else number


def in_32_bits(number: float) -> float:
    """Return what a number is in 32 bits where that is 0 or infinite, and the number itself elsewhere."""
    if abs(number) < SMALLEST_FLOAT:
        return 0.0
    return math.copysign(math.inf, number) if abs(number) > LARGEST_FLOAT else number


def _to_int(text: str) -> int | None:
    number = _to_float(text)
    if number is None or not number.is_integer() or abs(number) >= LARGEST_INT:
        return None
    return int(number)


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`; `text` as declared, its brackets say which ends belong."""

    low: float
    high: float
    text: str

    def __contains__(self, number: float) -> bool:
        above = number >= self.low if self.text[0] == "[" else number > self.low
        below = number <= self.high if self.text[-1] == "]" else number < self.high
        return above and below


@dataclass(frozen=True)
class Setting:
    """One declared setting: `kind` is int, float, bool, str, choice or arguments; only numbers have a `range`.

    `arguments` is an open group, see `settings.arguments`. `key` is dotted (`env_args.key`); `file` and `line` say
    where the declaration stands. For archives made before there was the setting, `before` is its value, as text, or
    `before_as` the setting whose value it has; both are None where nobody has said. `other`: a word that it may be
    instead. `free`: whether a run that goes on
    may have another value than it began with.
    """

    key: str
    kind: str
    range: Interval | None
    choices: tuple[str, ...]
    nullable: bool
    meaning: str
    file: str
    line: int
    effect: Effect = Effect.CHANGES
    before: str | None = None
    before_as: str | None = None
    free: bool = False
    other: str | None = None

    @property
    def allowed(self) -> str:
        """What the setting accepts, in words: `an int in [1, inf) or null`."""
        words = {
            "int": f"an int in {self.range and self.range.text}",
            "float": f"a float in {self.range and self.range.text}",
            "bool": "true or false",
            "str": "a text",
            "arguments": "an object of JSON; each entry can be set by itself, as " + self.key + ".NAME=value",
            "choice": "one of " + ", ".join(self.choices),
        }
        return words[self.kind] + (" or null" if self.nullable else "") + (f" or {self.other}" if self.other else "")

    def parse(self, raw: object) -> Value:
        """Return the value that `raw` stands for: text as on the command line, or a plain Python value.

        Raises UserError, one line that names setting, value, what is allowed and where it is declared.
        """
        if not isinstance(raw, str):
            if raw is not None and self.kind in ("str", "choice", "arguments"):
                raise self._refusal(repr(raw))
            raw = "null" if raw is None else repr(raw)
        text = raw.strip()
        if self.other is not None and text == self.other:
            return text
        value = self._read(text) if text and text.isprintable() else None
        if value is None and not (self.nullable and text in _NULLS):
            raise self._refusal(raw)
        return value

    def _read(self, text: str) -> Value:
        """Return the value, or None when `text` is not one (or is null)."""
        if self.kind == "bool":
            return {"true": True, "false": False}.get(text.lower())
        if self.kind == "choice":
            return text if text in self.choices else None
        if self.kind == "str":
            return None if text in _NULLS else text
        if self.kind == "arguments":
            return read_object(text)
        number = _to_int(text) if self.kind == "int" else _to_float(text)
        if number is None or self.range is None or number not in self.range:
            return None
        return number if self.kind == "int" or in_32_bits(number) in self.range else None

    def _refusal(self, raw: str) -> UserError:
        text, why = raw.strip(), ""
        if not text:
            why = "empty value, "
        elif not text.isprintable():
            why = "unprintable character, "
        elif self.kind == "int" and re.fullmatch(_NUMBER, text) and abs(float(text)) >= LARGEST_INT:
            why = "beyond 2**53, "
        elif self.kind == "float" and self.range is not None:
            number = _to_float(text)
            if number is not None and number in self.range:
                why = f"{in_32_bits(number):g} in 32 bits, "
        place = f"{self.file}:{self.line}"
        return UserError(f"{self.key}={shown(raw)}: {why}must be {self.allowed} ({place})")


def read_declaration(key: str, comment: str, file: str, line: int) -> Setting | None:
    """Return the setting that `comment` (`<kind>: <meaning>`, no `#`) declares, or None when it is prose.

    Raises UserError for an empty or impossible interval, a bad list of choices, or an unknown tag.
    """
    match = _DECLARATION.fullmatch(comment)
    if match is None:
        return None
    kind = match["number"] or match["word"] or "choice"
    interval = choices = None
    if match["number"]:
        interval = _interval(match, f"{file}:{line}: {key}")
    if kind == "choice":
        choices = _choices(match["choices"], f"{file}:{line}: {key}")
    plain = Setting(
        key, kind, interval, choices or (), bool(match["null"]), match["meaning"], file, line, other=match["other"]
    )
    return _tagged(plain)


def _tagged(setting: Setting) -> Setting:
    """Return a setting with what the tags behind its meaning say; default.yaml explains them."""
    parts = _TAGS.fullmatch(setting.meaning)
    assert parts is not None  # it matches every line
    said: dict[str, Any] = {}
    for tag in re.findall(r"\[(.*?)\]", parts["tags"]):
        before = _BEFORE.fullmatch(tag)
        if before is None and tag not in _EFFECTS:
            raise UserError(
                f"{setting.file}:{setting.line}: {setting.key}: unknown tag [{shown(tag)}]; "
                f"there are [{'], ['.join(_EFFECTS)}] and [since 0.2: before VALUE]"
            )
        if before is None:
            said.update({"effect": _EFFECTS[tag], "free": tag != "reading"})
        else:
            said.update({"before": before["value"], "before_as": before["other"]})
    tagged = replace(setting, meaning=parts["meaning"], **said)
    if tagged.before is not None:
        tagged.parse(tagged.before)
    return tagged


def _interval(match: re.Match[str], place: str) -> Interval:
    text = match["range"].replace(" ", "").replace(",", ", ")
    bounds = [_to_float(match["low"]), _to_float(match["high"])]
    low, high = (math.nan if bound is None else bound for bound in bounds)
    whole = all(math.isinf(bound) or bound.is_integer() for bound in (low, high))
    closed = text[0] == "[" and text[-1] == "]"
    if not (low < high or (low == high and closed)) or (match["number"] == "int" and not whole):
        raise UserError(f"{place}: {match['number']} {text} is no interval of {match['number']}s")
    return Interval(low, high, text)


def _choices(text: str, place: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if len(set(words)) < len(words) or not all(re.fullmatch(r"[A-Za-z0-9_.+-]+", word) for word in words):
        raise UserError(f"{place}: choices must be different words, as {{one, two}}, found {{{shown(text)}}}")
    return words
