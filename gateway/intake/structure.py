"""The tree of MIME parts, found in the raw octets without recursion and with bounds (RFC 2046 §5)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.intake.charsets import decode_header_octets
from gateway.intake.faults import AmbiguousStructure, HeaderTooLarge, TooDeep, TooManyParts
from gateway.intake.limits import IntakeLimits
from gateway.intake.parameters import ParametrisedValue, read_parametrised
from gateway.intake.rawmail import header_fields, split

__all__ = ["Part", "read_parts"]

_LONGEST_BOUNDARY = 200
_IDENTITY = ("", "7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True)
class Part:
    """One entity: its fields as (name as written, decoded value), MIME facts, raw body
    (empty for a multipart, whose octets are in its children), and its place in the tree.

    ``parent`` is the index of the enclosing multipart in the list that :func:`read_parts` returns (-1 at the
    top), ``position`` its rank among the children there.
    """

    fields: tuple[tuple[str, str], ...]
    content_type: ParametrisedValue
    disposition: ParametrisedValue
    encoding: str
    body: bytes
    parent: int = -1
    position: int = 0

    @property
    def is_multipart(self) -> bool:
        """Whether the part is a container of parts."""
        return self.content_type.value.startswith("multipart/")

    def first(self, name: str) -> str:
        """The first value of a field by lower-case name, '' when absent."""
        return next((value for key, value in self.fields if key.lower() == name), "")

    def content(self) -> bytes:
        """The body with its transfer encoding undone, leniently, never larger than the body (RFC 2045 §6)."""
        if self.encoding == "base64":
            return _base64(self.body)
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        return self.body


def _base64(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        letters = body.translate(None, delete=bytes(set(range(256)) - _BASE64)).rstrip(b"=")
        whole = letters[: len(letters) - (len(letters) % 4 == 1)]
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


@dataclass(slots=True)
class _Budget:
    """What is left of the work allowed for one mail: parts, and lines that look like delimiters."""

    parts: int
    candidates: int

    def part(self) -> None:
        self.parts -= 1
        if self.parts < 0:
            raise TooManyParts

    def candidate(self) -> None:
        self.candidates -= 1
        if self.candidates < 0:
            raise TooManyParts


def read_parts(raw: bytes, limits: IntakeLimits) -> tuple[Part, ...]:
    """All parts in document order, the mail itself first. Attached messages are leaves, never opened.

    Raises the ``IntakeFault`` of whatever limit or rule is broken.
    """
    budget = _Budget(limits.max_parts, limits.max_parts * 10)
    parts: list[Part] = []
    pending: list[tuple[bytes, int, int, int]] = [(raw, -1, 0, 0)]
    while pending:
        octets, parent, position, depth = pending.pop()
        if depth > limits.max_depth:
            raise TooDeep
        budget.part()
        default = "text/plain"
        if parent >= 0 and parts[parent].content_type.value == "multipart/digest":
            default = "message/rfc822"
        part = _part(octets, limits, default, (parent, position))
        index = len(parts)
        if part.is_multipart:
            children = list(_children(part, budget))
            pending.extend(
                (children[rank], index, rank, depth + 1) for rank in reversed(range(len(children)))
            )
            # Its children hold the octets now: twenty containers of a large mail must not hold twenty copies.
            part = replace(part, body=b"")
        parts.append(part)
    return tuple(parts)


def _part(octets: bytes, limits: IntakeLimits, default_type: str, place: tuple[int, int]) -> Part:
    header, body = split(octets)
    if len(header) > limits.max_header_bytes:
        raise HeaderTooLarge
    fields: list[tuple[str, str]] = []
    for name, field in header_fields(header):
        if name:
            label, _, value = field.partition(b":")
            fields.append((label.strip().decode("ascii"), decode_header_octets(value).strip()))
    kind = _parametrised(fields, "content-type")
    if "/" not in kind.value:
        kind = ParametrisedValue(default_type, kind.parameters)
    encoding = _single(fields, "content-transfer-encoding").lower()
    if kind.value.startswith("multipart/") and encoding not in _IDENTITY:
        raise AmbiguousStructure
    return Part(tuple(fields), kind, _parametrised(fields, "content-disposition"), encoding, body, *place)


def _single(fields: list[tuple[str, str]], name: str) -> str:
    values = [value for key, value in fields if key.lower() == name]
    if len(values) > 1:
        raise AmbiguousStructure
    return values[0] if values else ""


def _parametrised(fields: list[tuple[str, str]], name: str) -> ParametrisedValue:
    return read_parametrised(_single(fields, name))


def _children(part: Part, budget: _Budget) -> Iterator[bytes]:
    """The octets of each child, without the line end that belongs to the delimiter after it."""
    boundary = part.content_type.get("boundary").rstrip()
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not (boundary.isascii() and boundary.isprintable()):
        raise AmbiguousStructure
    start = -1
    for line_start, after, closing in _delimiters(part.body, b"--" + boundary.encode("ascii"), budget):
        if start >= 0:
            yield part.body[start : max(start, line_start)]
        start = after
        if closing:
            return
    if start >= 0:
        yield part.body[start:]


def _delimiters(body: bytes, delimiter: bytes, budget: _Budget) -> Iterator[tuple[int, int, bool]]:
    """Each delimiter line as (end of the content before it, begin of the content after it, whether it
    closes).
    """
    position = 0 if body.startswith(delimiter) else body.find(b"\n" + delimiter) + 1
    while position > 0 or (position == 0 and body.startswith(delimiter)):
        budget.candidate()
        line_end = body.find(b"\n", position)
        after = len(body) if line_end < 0 else line_end + 1
        tail = body[position + len(delimiter) : after].strip(b" \t\r\n")
        if tail in (b"", b"--"):
            content_end = position - 2 if body[position - 2 : position] == b"\r\n" else position - 1
            yield max(content_end, 0), after, tail == b"--"
        following = body.find(b"\n" + delimiter, after - 1)
        if following < 0:
            return
        position = following + 1
