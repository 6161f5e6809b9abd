"""Content-Type and Content-Disposition values and parameters, read totally (RFC 2045 §5.1, RFC 2231)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.intake.charsets import clean_line, decode_text
from gateway.intake.encodedwords import decode_words
from gateway.intake.faults import AmbiguousStructure

__all__ = ["ParametrisedValue", "read_parametrised"]

_PARAMETER = re.compile(r'\s*;\s*(?:([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*)))?')
_COMMENT = re.compile(r"\([^()]*\)")
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")
_MOST_PARAMETERS = 64
_NAMES = ("filename", "name")
"""Parameters in which clients write encoded words against RFC 2047 §5."""


@dataclass(frozen=True, slots=True)
class ParametrisedValue:
    """The value before the first semicolon in lower case, and decoded parameters by lower-case name, in
    order.
    """

    value: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The parameter of that lower-case name, '' when absent."""
        return next((text for key, text in self.parameters if key == name), "")


def read_parametrised(text: str) -> ParametrisedValue:
    """Read one unfolded field value. Raises ``AmbiguousStructure`` where a parameter comes twice (readers
    disagree on which one holds) or there are more than 64; anything else that is malformed ends the reading.
    """
    head, separator, rest = text.partition(";")
    value = _COMMENT.sub("", head).strip().lower()
    raw: dict[str, str] = {}
    position, tail = 0, separator + rest
    while match := _PARAMETER.match(tail, position):
        position = match.end()
        if match.group(1) is None:
            continue
        name = match.group(1).lower()
        if name in raw or len(raw) >= _MOST_PARAMETERS:
            raise AmbiguousStructure
        quoted, plain = match.group(2), match.group(3)
        raw[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        comment = _COMMENT.match(tail, position)
        position = comment.end() if comment else position
    return ParametrisedValue(value, tuple(_joined(raw).items()))


def _joined(raw: dict[str, str]) -> dict[str, str]:
    """Parameters with their RFC 2231 sections put together; a plain parameter yields to its extended form."""
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    joined: dict[str, str] = {}
    for name, text in raw.items():
        match = _SECTION.fullmatch(name)
        if match is None or (match.group(2) is None and match.group(3) is None):
            joined[name] = clean_line(decode_words(text) if name in _NAMES else text)
            continue
        number = int(match.group(2) or 0)
        sections.setdefault(match.group(1), {})[number] = (text, match.group(3) is not None)
    for name, numbered in sections.items():
        if name == "boundary":
            raise AmbiguousStructure
        joined[name] = clean_line(_extended(numbered))
    return joined


def _extended(numbered: dict[int, tuple[str, bool]]) -> str:
    charset, octets = "", b""
    for expected, number in enumerate(sorted(numbered)):
        if number != expected:
            break
        text, encoded = numbered[number]
        if number == 0 and encoded and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
    return decode_text(octets, charset)
