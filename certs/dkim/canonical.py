"""The octets that a DKIM signature is over: header and body, `simple` and `relaxed` (RFC 6376 §3.4).

Every step is one pass of the interpreter's own C loops over the octets, so that no shape of a mail makes it
slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from certs.fields import MAXIMUM_FIELDS, MAXIMUM_HEADER, FieldFault

__all__ = ["RawField", "RawMessage", "body_hash", "canonical_field", "read_message", "signed_octets",
           "without_signature"]  # fmt: skip

SIGNATURE_FIELD = "dkim-signature"

_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")


@dataclass(frozen=True, slots=True)
class RawField:
    """A header field: its name in lower case, its octets without the final CRLF, and where its value begins
    in them.
    """

    name: str
    octets: bytes
    value_at: int

    @property
    def value(self) -> bytes:
        """What stands behind the colon, folding kept."""
        return self.octets[self.value_at :]


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A mail with its header read: the fields in order, and where the body begins in `raw`."""

    raw: bytes
    fields: tuple[RawField, ...]
    body_at: int


def read_message(raw: bytes) -> RawMessage:
    """Read the header of a mail whose line ends are all CRLF. Raises FieldFault for any other.

    A bare CR or LF is a line end for some readers and not for others, and what they then see under a good
    signature differs.
    """
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        raise FieldFault("line ends other than CRLF")
    if raw.startswith(b"\r\n"):
        return RawMessage(raw, (), 2)
    end = raw.find(b"\r\n\r\n")
    header, body_at = (raw[:end], end + 4) if end >= 0 else (raw.removesuffix(b"\r\n"), len(raw))
    if len(header) > MAXIMUM_HEADER:
        raise FieldFault("header too large")
    lines = _FIELD_END.split(header, MAXIMUM_FIELDS)
    if len(lines) > MAXIMUM_FIELDS:
        raise FieldFault("too many header fields")
    return RawMessage(raw, tuple(_read_field(octets) for octets in lines), body_at)


def _read_field(octets: bytes) -> RawField:
    matched = _NAME.match(octets)
    if matched is None:
        raise FieldFault("a line of the header is no field")
    return RawField(matched.group(1).decode("ascii").lower(), octets, matched.end())


def _reduced(octets: bytes) -> bytes:
    """Return `octets` with each run of blanks and tabs made one blank; halving runs takes few passes."""
    octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets


def canonical_field(octets: bytes, value_at: int, name: str, *, relaxed: bool) -> bytes:
    """Write a field as it is signed, without final CRLF (§3.4.1, §3.4.2); `name` is in lower case."""
    if not relaxed:
        return octets
    value = _reduced(octets[value_at:].replace(b"\r\n", b"")).strip(b" ")
    return name.encode("ascii") + b":" + value


def body_hash(message: RawMessage, *, relaxed: bool) -> bytes:
    """Return the SHA-256 of the body (§3.4.3, §3.4.4), lines at its end that are empty left out."""
    if relaxed:
        body = _reduced(message.raw[message.body_at :]).replace(b" \r\n", b"\r\n")
        # A blank at the very end is the end of a line, too: it has no CRLF because the mail ends there.
        body = body.removesuffix(b" ").rstrip(b"\r\n")
        return sha256(body + b"\r\n" if body else b"").digest()
    # All line ends are CRLF (read_message), so what is stripped here are whole ones. Nothing is copied twice.
    view = memoryview(message.raw)[message.body_at :]
    length = len(message.raw[message.body_at :].rstrip(b"\r\n"))
    digest = sha256(view[:length])
    digest.update(b"\r\n")
    return digest.digest()


def without_signature(field: RawField) -> bytes:
    """Return the octets of a DKIM-Signature field with the value of b= deleted, white space around it
    included (§3.5).
    """
    specs = field.value.split(b";")
    for number, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            specs[number] = name + equals
    return field.octets[: field.value_at] + b";".join(specs)


def signed_octets(
    fields: Sequence[RawField], names: Sequence[str], signature: RawField, *, relaxed: bool
) -> bytes:
    """Return what the signature is over: the fields that h= names, taken from the bottom up, then the
    signature field itself without the value of b= (§3.7, §5.4.2).

    `fields` are the mail's without `signature`; a name for which none is left adds nothing.
    """
    left: dict[str, list[RawField]] = {}
    for field in fields:
        left.setdefault(field.name, []).append(field)
    parts = []
    for name in names:
        if left.get(name):
            field = left[name].pop()
            parts.append(canonical_field(field.octets, field.value_at, name, relaxed=relaxed) + b"\r\n")
    bare = without_signature(signature)
    parts.append(canonical_field(bare, signature.value_at, signature.name, relaxed=relaxed))
    return b"".join(parts)
