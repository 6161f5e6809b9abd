"""French typography and plain-text layout: what turns template words and foreign values into lines of a
mail.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from itertools import pairwise
from typing import Any

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from markupsafe import Markup, escape

__all__ = [
    "FrenchSpaces",
    "clean",
    "day",
    "euros",
    "french",
    "grouped",
    "line_breaks",
    "moment",
    "one_line",
    "size",
    "thousands",
    "tidy",
    "verbatim",
    "wrap",
]

LINE_WIDTH = 76
_NBSP = "\u00a0"
# Stands for a line end inside a form block, which `tidy` must not touch; `clean` keeps it out of every value.
_KEPT_LINE_END = "\x1f"
_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_BEFORE_SIGN = re.compile(r" (?=»|[:;?!](?:\s|$|<))")
_AFTER_QUOTE = re.compile(r"(?<=«) ")
# Controls except tab and line feed, and the marks that reverse or embed the direction of the text after them.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def french(text: str) -> str:
    """The text with no-break spaces before ``: ; ? ! »`` and after ``«``, so that no line ends there."""
    return _AFTER_QUOTE.sub(_NBSP, _BEFORE_SIGN.sub(_NBSP, text))


class FrenchSpaces(Extension):
    """Puts no-break spaces before ``: ; ? ! »`` and after ``«`` in the words of templates, never in
    values.
    """

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Change literal text and quoted strings of the template, token by token."""
        for token in stream:
            if token.type in ("data", "string"):
                yield Token(token.lineno, token.type, french(token.value))
            else:
                yield token


def clean(value: Any) -> Any:
    """The same value without control and direction marks in any string, through data classes, tuples and
    mappings.
    """
    if isinstance(value, Markup):
        return value
    if type(value) is str:
        return _SURROGATE.sub("\ufffd", _UNSAFE.sub("", value.replace("\r\n", "\n")))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: clean(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(clean(item) for item in value)
    return value


def euros(cents: int) -> str:
    """An amount: ``2760`` -> ``27,60 €``."""
    return f"{cents // 100},{cents % 100:02d}{_NBSP}€"


def one_line(text: str) -> str:
    """The text on one line: every run of ASCII white space becomes one space."""
    line = _SPACES.sub(" ", text).strip()
    return Markup(line) if isinstance(text, Markup) else line  # noqa: S704 - what came in escaped stays so


def wrap(text: str, first: str = "", rest: str = "", width: int = LINE_WIDTH) -> str:
    """Lines of at most ``width`` characters; line ends of the text stay, words and links longer than it
    too.
    """
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        start = rest if lines else first
        wrapped = textwrap.wrap(
            french(one_line(line)),
            width,
            initial_indent=start,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines.extend(wrapped or [start.rstrip()])
    return "\n".join(lines)


def verbatim(text: str) -> str:
    """A block whose lines must come out exactly as they are (a form)."""
    return text.replace("\n", _KEPT_LINE_END)


def tidy(text: str) -> str:
    """A rendered text part: no space at line ends, one blank line between blocks, verbatim blocks
    restored.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        line = (
            line if line == "-- " else line.rstrip(" \t")
        )  # the signature mark keeps its space (RFC 3676 §4.3)
        if line or (lines and lines[-1]):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines).replace(_KEPT_LINE_END, "\n") + "\n"


def line_breaks(text: str) -> Markup:
    """HTML of a foreign text: escaped, its line ends as ``<br>``."""
    markup = isinstance(text, Markup)
    lines = map(french, text.strip("\n").split("\n"))
    return Markup("<br>\n").join(Markup(line) if markup else escape(line) for line in lines)  # noqa: S704 - as it came


def day(value: date) -> str:
    """``22/11/2026``."""
    return f"{value.day:02d}/{value.month:02d}/{value.year:04d}"


def moment(value: datetime, zone: tzinfo) -> str:
    """``22/11/2026 à 10 h 41``, in the zone of the readers."""
    local = value.astimezone(zone)
    return f"{day(local)} à {local.hour}{_NBSP}h{_NBSP}{local.minute:02d}"


def thousands(count: int) -> str:
    """A count as French readers write it: ``11 146``."""
    return f"{count:,}".replace(",", _NBSP)


def grouped(ins: str) -> str:
    """An INS or NIR of 15 characters as cards print it: ``2 57 03 43 157 999 41``; anything else as it is."""
    if len(ins) != 15:
        return ins
    cuts = (0, 1, 3, 5, 7, 10, 13, 15)
    return _NBSP.join(ins[start:end] for start, end in pairwise(cuts))


def size(octets: int) -> str:
    """A file size as French readers write it: ``312 Ko``, ``1,4 Mo``."""
    if octets < 1000:
        return f"{octets}{_NBSP}octet{'s' if octets > 1 else ''}"
    if octets < 1_000_000:
        return f"{octets / 1000:.0f}{_NBSP}Ko"
    return f"{octets / 1_000_000:.1f}{_NBSP}Mo".replace(".", ",")
