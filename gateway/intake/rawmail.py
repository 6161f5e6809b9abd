"""Work on raw mail octets that never touches the body: signed bytes survive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gateway.intake.encodedwords import encode_words
from gateway.intake.faults import (
    BareLineEnd,
    HeaderTooLarge,
    IntakeFault,
    LineTooLong,
    MalformedHeader,
    NulOctet,
)

__all__ = ["count_received", "header_fields", "prepend_fields", "remove_fields", "split", "wire_fault"]

_FIELD_NAME = re.compile(rb"[!-9;-~]+[ \t]*:")
_LONGEST_LINE = 998
_FOLD_AT = 78


def split(raw: bytes) -> tuple[bytes, bytes]:
    """The header section with the empty line that ends it, and the body: joined again they are ``raw``.

    Without an empty line all of ``raw`` is header (RFC 5322 §3.5).
    """
    end = _header_length(raw)
    return raw[:end], raw[end:]


def _header_length(raw: bytes) -> int:
    for empty_line in (b"\r\n", b"\n"):
        if raw.startswith(empty_line):
            return len(empty_line)
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := raw.find(mark)) >= 0]
    return min(ends, default=len(raw))


def header_fields(header: bytes) -> Iterator[tuple[str, bytes]]:
    """Each field of a header section as (lower-case name, its octets with continuation lines and line ends).

    Lines that are no field come with the name ''; the empty line at the end is left out.
    """
    start, length = 0, len(header)
    while start < length:
        end = _field_end(header, start)
        octets = header[start:end]
        if octets not in (b"\r\n", b"\n"):
            name = _FIELD_NAME.match(octets)
            yield (name.group()[:-1].rstrip().lower().decode("ascii") if name else ""), octets
        start = end


def _field_end(header: bytes, start: int) -> int:
    while True:
        newline = header.find(b"\n", start)
        if newline < 0:
            return len(header)
        start = newline + 1
        if header[start : start + 1] not in (b" ", b"\t"):
            return start


def remove_fields(header: bytes, unwanted: Callable[[str], bool]) -> bytes:
    """The header section without the fields whose lower-case name is ``unwanted``; all other octets as they
    were.
    """
    kept = [octets for name, octets in header_fields(header) if not name or not unwanted(name)]
    blank = b""
    if header.endswith((b"\n\r\n", b"\n\n")) or header in (b"\r\n", b"\n"):
        blank = b"\r\n" if header.endswith(b"\r\n") else b"\n"
    return b"".join(kept) + blank


def count_received(header: bytes) -> int:
    """How many Received fields there are, the measure of a loop (RFC 5321 §6.3)."""
    return sum(name == "received" for name, _ in header_fields(header))


def prepend_fields(raw: bytes, fields: Sequence[tuple[str, str]]) -> bytes:
    """``raw`` with new fields before it, folded at 78 columns where blanks allow (RFC 5322 §2.2.3).

    Values are unstructured text: words that are not ASCII become encoded words (RFC 2047); addresses with
    such display names must come encoded. Raises ``ValueError`` for a bad name, for control characters in a
    value (header injection), and for a word that fits no line of 998 octets.
    """
    return b"".join(_field(name, value) for name, value in fields) + raw


def _field(name: str, value: str) -> bytes:
    label = name.encode("ascii") + b":"
    if not _FIELD_NAME.fullmatch(label) or b" " in label or b"\t" in label:
        raise ValueError("not a header field name")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a header field value holds control characters")
    first = line = label.decode("ascii")
    lines: list[str] = []
    for word in re.findall(r" *[^ ]+", " " + encode_words(value).strip(" ")):
        if len(line) + len(word) > _FOLD_AT and line is not first:
            lines.append(line)
            line = word
        else:
            line += word
    lines.append(line)
    if any(len(part) > _LONGEST_LINE for part in lines):
        raise ValueError("a header field value holds a word that fits no line")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def wire_fault(raw: bytes, max_header_bytes: int = 256 * 1024) -> IntakeFault | None:
    """Why these octets must not enter or leave by SMTP, ``None`` where they may.

    Bare CR or LF (RFC 5321 §2.3.8), NUL, lines above 998 octets (RFC 5322 §2.1.1), a header section with
    lines that are no fields.
    """
    pairs = raw.count(b"\r\n")
    if raw.count(b"\r") != pairs or raw.count(b"\n") != pairs:
        return BareLineEnd()
    if b"\x00" in raw:
        return NulOctet()
    if _has_long_line(raw):
        return LineTooLong()
    header, _ = split(raw)
    if len(header) > max_header_bytes:
        return HeaderTooLarge()
    if any(not name for name, _ in header_fields(header)):
        return MalformedHeader()
    return None


def _has_long_line(raw: bytes) -> bool:
    start = 0
    while start + _LONGEST_LINE + 2 < len(raw):
        newline = raw.rfind(b"\n", start, start + _LONGEST_LINE + 2)
        if newline < 0:
            return True
        start = newline + 1
    tail = raw[start:].removesuffix(b"\r\n")
    return b"\n" not in tail and len(tail) > _LONGEST_LINE
